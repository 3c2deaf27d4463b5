"""Options of TensorRT engines. Whether a flavour has one is :mod:`.flavor`'s to say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinysr.errors import UnsupportedError, choice_error

__all__ = ["AUTO", "CURRENT", "HARDWARE", "PORTABLE", "SizeRange", "TensorRTOptions"]

AUTO = "auto"
"""The name that leaves the choice of the flavour to what is installed."""

PORTABLE = "portable"
"""Word in place of a compute capability for all that TensorRT-RTX builds for by default."""

CURRENT = "current"
"""Word in place of a compute capability for that of this machine's GPU."""

HARDWARE: tuple[str, ...] = ("none", "ampere+", "same-compute-capability")
"""GPUs that an engine of TensorRT runs on, beside the model it was built on."""

LEAST_SIDE = 16
"""Shortest side of an image that an engine takes, in low-resolution pixels."""

TILES = 4
"""The longest side is this many tiles unless another is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeRange:
    """Sizes that an engine takes: it is tuned for one of them."""

    least: int
    best: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.best <= self.most:
            raise UnsupportedError(f"expected sizes such as 1:4:8, rising from 1, found {self}")

    def __str__(self) -> str:
        return f"{self.least}:{self.best}:{self.most}"

    @property
    def fixed(self) -> bool:
        """Whether it is a single size."""
        return self.least == self.most

    def times(self, factor: int, over: int = 1) -> SizeRange:
        """Return the range in another unit: each size times ``factor``, divided by ``over``."""
        sizes = (self.least, self.best, self.most)
        least, best, most = (max(1, size * factor // over) for size in sizes)
        return SizeRange(least=least, best=best, most=most)


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorRTOptions:
    """Settings of the engines. What a flavour lacks, it refuses."""

    flavor: str = AUTO
    """``tensorrt``, ``rtx``, or `auto`."""
    compute_capabilities: tuple[str, ...] = ()
    """GPUs to build for, as 8.6, or one of :data:`PORTABLE` and :data:`CURRENT`; empty is the
    flavour's own default."""
    batch: SizeRange | None = None
    """Tiles that an engine takes at once, for graphs exported with any batch."""
    sides: SizeRange | None = None
    """Sides of what the encoder takes, in low-resolution pixels; None is from 16 pixels to four
    tiles, tuned for one."""
    optimization_level: int | None = None
    """Effort of the search for tactics, 0 to 5; None is the flavour's default."""
    workspace_mb: int | None = None
    """Most memory that a layer may take beside its inputs and outputs, in 10⁶ bytes."""
    timing_cache: Path | None = None
    """A file of measured tactics, read before builds and written after them."""
    hardware: str = "none"
    """One of :data:`HARDWARE`."""
    version_compatible: bool = False
    """Engines also run with later versions."""
    strip: bool = False
    """Leave the weights out of the engine; they are put in when it is opened."""
    refit: bool = False
    """Let weights be replaced in an engine."""
    weight_streaming: bool = False
    """Let weights stay in host memory when the GPU's is too small."""
    cache: bool = True
    """Keep engines in the user's cache, and take them from there."""

    def __post_init__(self) -> None:
        if self.hardware not in HARDWARE:
            raise choice_error("hardware compatibility", self.hardware, HARDWARE)
        if self.optimization_level is not None and not 0 <= self.optimization_level <= 5:
            raise UnsupportedError(
                f"expected an optimisation level from 0 to 5, found {self.optimization_level}"
            )
        if self.workspace_mb is not None and self.workspace_mb < 1:
            raise UnsupportedError(
                f"expected a workspace of at least 1 MB, found {self.workspace_mb}"
            )
        alone = [name for name in (PORTABLE, CURRENT) if name in self.compute_capabilities]
        if alone and len(self.compute_capabilities) > 1:
            raise UnsupportedError(
                f"the compute capability '{alone[0]}' can't be combined: "
                f"found it beside {len(self.compute_capabilities) - 1} more"
            )

    def sides_for(self, tile: int, multiple: int) -> SizeRange:
        """Return the sides of an image that stages of any size take, in its pixels.

        Args:
            tile: the bundle's.
            multiple: that sides divide by.

        Raises:
            UnsupportedError: a tile is not among them, or one does not divide.
        """
        least = min(-(-LEAST_SIDE // multiple) * multiple, tile)
        sides = self.sides or SizeRange(least=least, best=tile, most=TILES * tile)
        if not sides.least <= tile <= sides.most:
            raise UnsupportedError(f"expected sides with the tile {tile} among them, found {sides}")
        if any(side % multiple for side in (sides.least, sides.best, sides.most)):
            raise UnsupportedError(
                f"expected sides that are multiples of {multiple}, found {sides}"
            )
        return sides
