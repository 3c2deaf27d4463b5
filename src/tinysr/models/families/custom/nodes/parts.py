"""Operators that take values apart, put them together, or add some around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Call, Move, Node, Operator, Sizes, list_sizes, read_integers, to_tensor

__all__ = ["LAST", "MOST_PAD", "OPERATORS", "Concat", "Gather", "Pad", "Slice", "Split"]

LAST = 2**31
"""Ends beyond this mean: up to the last one."""

MOST_PAD = 2**12
"""Widest padding."""

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}


class Concat(Node):
    """Values side by side along an axis, in one type."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.axis: int = call.attributes["axis"]
        self.places = len(call.inputs)
        for place, array in call.constants.items():
            self.register_buffer(f"operand{place}", to_tensor(array))

    def forward(self, *values: Tensor) -> Tensor:
        """Join the values, constant ones among them."""
        rest = iter(values)
        buffers = [getattr(self, f"operand{place}", None) for place in range(self.places)]
        parts = [self.cast_input(next(rest) if one is None else one) for one in buffers]
        return torch.cat(parts, self.axis)


class Split(Move):
    """Parts of a value along an axis: of the lengths that are told, or equal ones."""

    def __init__(self, axis: int, parts: int, lengths: tuple[int, ...] | None) -> None:
        super().__init__()
        self.axis, self.parts, self.lengths = axis, parts, lengths

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Cut along the axis."""
        side = -(-x.shape[self.axis] // self.parts)
        return torch.split(x, list(self.lengths) if self.lengths else side, self.axis)


class Slice(Move):
    """A part along axes, forwards, with or without steps."""

    def __init__(self, axes: tuple[int, ...] | None, steps: tuple[int, ...] | None) -> None:
        super().__init__()
        self.axes, self.steps = axes, steps
        self.starts: tuple[Any, ...] | None = None
        self.ends: tuple[Any, ...] | None = None

    def forward(self, x: Tensor, *rest: Sizes) -> Tensor:
        """Cut the part out."""
        bounds = iter(rest)
        starts = list_sizes(next(bounds)) if self.starts is None else self.starts
        ends = list_sizes(next(bounds)) if self.ends is None else self.ends
        axes = self.axes or tuple(range(len(starts)))
        steps = self.steps or (1,) * len(starts)
        cuts = [slice(None)] * x.ndim
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            last = isinstance(end, int) and end >= LAST
            cuts[axis] = slice(start, None if last else end, step)
        return x[tuple(cuts)]


class Gather(Move):
    """Places along an axis."""

    def __init__(self, axis: int, places: Tensor) -> None:
        super().__init__()
        self.axis = axis
        self.single = int(places) if places.ndim == 0 else None
        self.register_buffer("places", places)

    def forward(self, x: Tensor) -> Tensor:
        """Take one place, which drops the axis, or several, in any shape."""
        if self.single is not None:
            return x.select(self.axis, self.single)
        places = self.get_buffer("places")
        axis = self.axis % x.ndim
        taken = x.index_select(axis, places.reshape(-1) % x.shape[axis])
        return taken.reshape([*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]])


class Pad(Move):
    """Cells around a value: a constant, or what lies near the edge."""

    def __init__(self, mode: str, value: float, axes: tuple[int, ...] | None) -> None:
        super().__init__()
        self.mode, self.value, self.axes = mode, value, axes
        self.pads: tuple[int, ...] | None = None

    def forward(self, x: Tensor, *rest: Sizes) -> Tensor:
        """Add cells before and after, or with fewer than none, take them away."""
        pads: Any = self.pads if not rest else list_sizes(rest[0])
        axes = self.axes or tuple(range(x.ndim))
        ends: list[Any] = [0] * (2 * x.ndim)
        for index, axis in enumerate(axes):
            place = 2 * (x.ndim - 1 - axis % x.ndim)
            ends[place], ends[place + 1] = pads[index], pads[index + len(axes)]
        least = 2 if self.mode == "constant" else max(2, 2 * (x.ndim - 2))  # as PyTorch wants
        while len(ends) > least and all(isinstance(end, int) and end == 0 for end in ends[-2:]):
            ends = ends[:-2]
        if self.mode == "constant":
            return F.pad(x, ends, value=self.value)
        return F.pad(x, ends, mode=self.mode)


def _make_split(call: Call) -> nn.Module:
    old = call.attributes.get("split") if call.opset < 13 else call.constant(1)
    lengths = None
    if old is not None:
        lengths = tuple(old) if isinstance(old, list) else read_integers(old)
    parts = call.attributes.get("num_outputs", call.outputs)
    if parts != call.outputs or (lengths is not None and len(lengths) != parts):
        raise call.refuse(f"expected {call.outputs} parts, found {(lengths or parts)!s:.80}")
    return Split(call.attributes.get("axis", 0), call.outputs, lengths)


def _make_slice(call: Call) -> nn.Module:
    axes, steps = call.constant(3), call.constant(4)
    layer = Slice(
        None if axes is None else read_integers(axes),
        None if steps is None else read_integers(steps),
    )
    if any(step < 1 for step in layer.steps or ()):
        raise call.refuse(f"steps are {layer.steps!s:.80}, expected positive ones")
    starts, ends = call.constants.get(1), call.constants.get(2)
    layer.starts = None if starts is None else read_integers(starts)
    layer.ends = None if ends is None else read_integers(ends)
    return layer


def _make_gather(call: Call) -> nn.Module:
    places = call.require(1)
    if places.dtype.kind not in "iu" or places.size > 2**20:
        raise call.refuse("expected at most a million places, as integers")
    return Gather(call.attributes.get("axis", 0), to_tensor(places).long())


def _make_pad(call: Call) -> nn.Module:
    mode = call.attributes.get("mode", "constant")
    if mode not in _PAD_MODES:
        raise call.refuse(f"mode is {mode!r:.40}, expected one of {', '.join(_PAD_MODES)}")
    value, axes = call.constant(2), call.constant(3)
    layer = Pad(
        _PAD_MODES[mode],
        0.0 if value is None or value.size == 0 else float(value.reshape(-1)[0]),
        None if axes is None else read_integers(axes),
    )
    pads = call.constants.get(1)
    layer.pads = None if pads is None else read_integers(pads)
    if any(abs(pad) > MOST_PAD for pad in layer.pads or ()):
        raise call.refuse(f"pads are {layer.pads!r:.80}, expected {MOST_PAD} at most")
    if mode != "constant" and any(pad < 0 for pad in layer.pads or ()):
        raise call.refuse(f"mode {mode} with pads below zero")
    return layer


OPERATORS: Mapping[str, Operator] = {
    "Concat": Operator(make=Concat, attributes=("axis",)),
    "Gather": Operator(make=_make_gather, attributes=("axis",)),
    "Pad": Operator(make=_make_pad, attributes=("mode",)),
    "Slice": Operator(make=_make_slice),
    "Split": Operator(make=_make_split, attributes=("axis", "num_outputs", "split"), outputs=256),
}
"""Operators by their names in ONNX."""
