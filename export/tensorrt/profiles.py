"""Shapes that an engine takes: the graph's open dimensions, closed by the options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from tinysr.chain import Chain
from tinysr.errors import UnsupportedError
from tinysr.manifest import Port

from .options import SizeRange, TensorRTOptions

__all__ = ["Profile", "choose_profile", "engine_ports", "weight_bytes"]

_OPEN_BATCH = SizeRange(least=1, best=1, most=8)


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The sizes of an engine's one input, per dimension."""

    name: str
    dims: tuple[SizeRange, ...]

    @property
    def fixed(self) -> bool:
        """Whether it is a single shape."""
        return all(size.fixed for size in self.dims)

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Least, best and largest shape."""
        return (
            tuple(size.least for size in self.dims),
            tuple(size.best for size in self.dims),
            tuple(size.most for size in self.dims),
        )

    def __str__(self) -> str:
        return " ".join(str(s.best) if s.fixed else str(s) for s in self.dims)


def choose_profile(
    port: Port, chain: Chain, options: TensorRTOptions, *, tile: int, batch: int | None
) -> Profile:
    """Return the sizes that an engine is built for.

    Args:
        port: the graph's input.
        chain: that the graph is of; one of its fields has the port's name.
        options: what was asked for.
        tile: the bundle's, in low-resolution pixels.
        batch: tiles that the graphs of tiles take; any number when None.

    Raises:
        UnsupportedError: a batch was asked for that the graphs don't take.
    """
    if options.batch is not None and batch is not None:
        raise UnsupportedError(
            f"the graphs take batches of {batch}, and engines of {options.batch} were asked for: "
            "export with --batch dynamic"
        )
    images = (options.batch or _OPEN_BATCH) if batch is None else SizeRange(least=1, best=1, most=1)
    sides = options.sides_for(tile, chain.multiple)
    sides = sides.times(chain.scale, chain.field(port.name).pixels_per_cell)
    dims = tuple(
        SizeRange(least=size, best=size, most=size)
        if isinstance(size, int)
        else (images if axis == 0 else sides)
        for axis, size in enumerate(port.shape)
    )
    return Profile(name=port.name, dims=dims)


def engine_ports(ports: Sequence[Port], profile: Profile) -> tuple[Port, ...]:
    """Return a graph's ports as its engine has them: a batch that is closed is a number."""
    first = profile.dims[0]
    if not first.fixed:
        return tuple(ports)
    return tuple(port.model_copy(update={"shape": (first.best, *port.shape[1:])}) for port in ports)


def weight_bytes(graph: onnx.ModelProto) -> int:
    """Return the bytes of a graph's weights, wherever they lie."""
    total = 0
    for tensor in graph.graph.initializer:
        length = {entry.key: entry.value for entry in tensor.external_data}.get("length")
        total += int(length) if length is not None else tensor.ByteSize()
    return total
