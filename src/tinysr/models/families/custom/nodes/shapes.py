"""Operators that give the same values another shape, other axes, or another type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .base import Call, Move, Operator, Sizes, list_sizes, read_integers, to_tensor

__all__ = [
    "OPERATORS",
    "Axes",
    "Expand",
    "Fill",
    "Flatten",
    "Identity",
    "Reshape",
    "Tile",
    "ToType",
    "Transpose",
]

_TYPES = {
    **dict.fromkeys((1, 10, 11, 16), torch.float32),
    **dict.fromkeys((2, 3, 5, 6, 7), torch.int64),
    9: torch.bool,
}
"""Types by ONNX's numbers. All floats are one: in which type a node computes, a plan says."""


class Identity(Move):
    """A value as it is."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the value."""
        return x


class ToType(Move):
    """A mask or integers as another kind of number."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Convert the numbers; floats that become floats stay as they are."""
        if x.is_floating_point() and self.dtype.is_floating_point:
            return x
        return x.to(self.dtype)


class Reshape(Move):
    """Another shape for the same values, or axes of length one more or less."""

    def __init__(self, shape: tuple[int, ...] | None, *, copies: bool = True) -> None:
        super().__init__()
        self.shape, self.copies = shape, copies

    def forward(self, x: Tensor, *rest: Sizes) -> Tensor:
        """Give the values another shape; a zero in it stands for the length as it was."""
        shape: Any = self.shape if not rest else list_sizes(rest[0])
        copied = [
            x.shape[axis] if self.copies and isinstance(side, int) and side == 0 else side
            for axis, side in enumerate(shape)
        ]
        return x.reshape(copied)


class Axes(Move):
    """Axes of length one that are added or dropped."""

    def __init__(self, axes: tuple[int, ...] | None, *, adds: bool) -> None:
        super().__init__()
        self.axes, self.adds = axes, adds

    def forward(self, x: Tensor) -> Tensor:
        """Add or drop the axes."""
        if self.axes is None:
            return x.squeeze()
        rank = x.ndim + len(self.axes) * self.adds
        axes = sorted(axis % rank for axis in self.axes)
        if not self.adds:
            return x.squeeze(tuple(axes))
        for axis in axes:
            x = x.unsqueeze(axis)
        return x


class Flatten(Move):
    """Two axes: those before one, and those from it on."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to one of two axes."""
        first = x.shape[: self.axis] if self.axis else ()
        lengths = 1
        for side in first:
            lengths = lengths * side
        return x.reshape(lengths, -1)


class Transpose(Move):
    """The axes in another order."""

    def __init__(self, order: tuple[int, ...]) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        """Put the axes in order; without one, the last comes first."""
        return x.permute(self.order or tuple(range(x.ndim - 1, -1, -1)))


class Expand(Move):
    """Copies along axes of length one, of a value or of a constant."""

    def __init__(self, shape: tuple[int, ...] | None, constant: Tensor | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("operand0", constant)

    def forward(self, *values: Any) -> Tensor:
        """Repeat along each axis where the value has one and the shape has more."""
        rest = list(values)
        x: Tensor = rest.pop(0) if self.operand0 is None else self.get_buffer("operand0")
        shape: list[Any] = list(list_sizes(rest[0]) if rest else self.shape or ())
        for axis in range(1, min(x.ndim, len(shape)) + 1):
            if isinstance(shape[-axis], int) and shape[-axis] == 1:
                shape[-axis] = x.shape[-axis]
        return x.expand([*x.shape[: max(0, x.ndim - len(shape))], *shape])


class Fill(Move):
    """One number in a shape that is computed from the image's."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.register_buffer("operand0", torch.tensor(number))

    def forward(self, shape: Sizes) -> Tensor:
        """Return a tensor of the shape."""
        return self.get_buffer("operand0").expand(list_sizes(shape))


class Tile(Move):
    """A value several times along its axes."""

    def __init__(self, repeats: tuple[int, ...]) -> None:
        super().__init__()
        self.repeats = repeats

    def forward(self, x: Tensor) -> Tensor:
        """Repeat along each axis."""
        return x.repeat(self.repeats)


def _make_reshape(call: Call) -> nn.Module:
    found = call.constants.get(1)
    copies = not call.attributes.get("allowzero", 0)
    return Reshape(None if found is None else read_integers(found), copies=copies)


def _read_axes(call: Call) -> tuple[int, ...] | None:
    found = call.attributes.get("axes") if call.opset < 13 else call.constant(1)
    if found is None:
        return None
    return tuple(found) if isinstance(found, list) else read_integers(found)


def _make_axes(call: Call) -> nn.Module:
    axes = _read_axes(call)
    if axes is None and call.operator == "Unsqueeze":
        raise call.refuse("no axes")
    return Axes(axes, adds=call.operator == "Unsqueeze")


def _make_cast(call: Call) -> nn.Module:
    number = call.attributes.get("to")
    if number not in _TYPES:
        raise call.refuse(f"to type {number}, expected floats, integers or bool")
    return ToType(_TYPES[number])


def _make_dropout(call: Call) -> nn.Module:
    training = call.constant(2)
    if training is not None and bool(training.reshape(-1)[0]):
        raise call.refuse("it drops values at random: export in eval mode")
    return Identity()


def _make_flatten(call: Call) -> nn.Module:
    axis = call.attributes.get("axis", 1)
    return Flatten(axis)


def _make_tile(call: Call) -> nn.Module:
    return Tile(read_integers(call.require(1)))


def _make_expand(call: Call) -> nn.Module:
    constant, shape = call.constants.get(0), call.constants.get(1)
    return Expand(
        None if shape is None else read_integers(shape),
        None if constant is None else to_tensor(constant),
    )


def _make_fill(call: Call) -> nn.Module:
    value = call.attributes.get("value")
    return Fill(0.0 if value is None else float(value.reshape(-1)[0]))


OPERATORS: Mapping[str, Operator] = {
    "Cast": Operator(make=_make_cast, attributes=("to", "saturate")),
    "ConstantOfShape": Operator(make=_make_fill, attributes=("value",)),
    "Dropout": Operator(make=_make_dropout, attributes=("seed",)),
    "Expand": Operator(make=_make_expand),
    "Flatten": Operator(make=_make_flatten, attributes=("axis",)),
    "Identity": Operator(make=lambda _: Identity()),
    "Reshape": Operator(make=_make_reshape, attributes=("allowzero",)),
    "Squeeze": Operator(make=_make_axes, attributes=("axes",)),
    "Tile": Operator(make=_make_tile),
    "Transpose": Operator(
        make=lambda call: Transpose(tuple(call.attributes.get("perm", ()))), attributes=("perm",)
    ),
    "Unsqueeze": Operator(make=_make_axes, attributes=("axes",)),
}
"""Operators by their names in ONNX."""
