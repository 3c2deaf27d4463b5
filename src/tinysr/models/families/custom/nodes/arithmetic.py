"""Elementwise operators: arithmetic, functions of one value, comparisons and choices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from .base import Call, Node, Operator, Value, to_tensor

__all__ = ["OPERATORS", "Clip", "Elementwise"]

_FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "Abs": torch.abs,
    "Add": lambda *values: reduce(torch.add, values),
    "And": torch.logical_and,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Div": torch.div,
    "Equal": torch.eq,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Log": torch.log,
    "Max": lambda *values: reduce(torch.maximum, values),
    "Mean": lambda *values: reduce(torch.add, values) / len(values),
    "Min": lambda *values: reduce(torch.minimum, values),
    "Mul": torch.mul,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Or": torch.logical_or,
    "Pow": torch.pow,
    "Reciprocal": torch.reciprocal,
    "Round": torch.round,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Sum": lambda *values: reduce(torch.add, values),
    "Where": torch.where,
}

_TENSORS_ONLY = frozenset({"Max", "Mean", "Min", "Sum", "Where"})
"""Operators whose functions take no plain numbers."""


class Elementwise(Node):
    """An elementwise operator; constant operands are buffers, single numbers stay numbers."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.operator = call.operator
        self.places = len(call.inputs)
        self.numbers: dict[int, float] = {}
        for place, array in call.constants.items():
            if array.ndim == 0 and array.dtype.kind == "f" and call.operator not in _TENSORS_ONLY:
                self.numbers[place] = float(array)
            else:
                self.register_buffer(f"operand{place}", to_tensor(array))

    def forward(self, *values: Value) -> Tensor:
        """Compute with operands that broadcast."""
        rest = iter(values)
        operands: list[Any] = []
        for place in range(self.places):
            if place in self.numbers:
                operands.append(self.numbers[place])
                continue
            buffer = getattr(self, f"operand{place}", None)
            operands.append(self._read(next(rest) if buffer is None else buffer))
        if not isinstance(operands[0], Tensor) and self.operator not in _TENSORS_ONLY:
            like = next(one for one in operands if isinstance(one, Tensor))
            operands[0] = torch.as_tensor(operands[0], dtype=like.dtype, device=like.device)
        return _FUNCTIONS[self.operator](*operands)

    def operands(self) -> list[Tensor]:
        """Return the constant operands with a shape."""
        return list(self.buffers())

    def _read(self, value: Value) -> Any:
        if isinstance(value, Tensor):
            return self.cast_input(value)
        return value.item()  # of sizes, only a single one has a meaning among pixels


class Clip(Node):
    """Limits of values."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        ends = [call.constant(place) for place in (1, 2)]
        self.low, self.high = (None if end is None else float(end.reshape(-1)[0]) for end in ends)

    def forward(self, x: Tensor) -> Tensor:
        """Map values to the nearest within the limits."""
        x = self.cast_input(x)
        if self.low is None and self.high is None:
            return x
        return torch.clamp(x, self.low, self.high)


def _make(call: Call) -> Elementwise:
    numbers = [a for a in call.constants.values() if a.dtype.kind == "f" and a.size == 1]
    if any(math.isnan(float(number.reshape(-1)[0])) for number in numbers):
        raise call.refuse("a constant is not a number")
    return Elementwise(call)


OPERATORS: Mapping[str, Operator] = {
    **{name: Operator(make=_make) for name in _FUNCTIONS},
    "Clip": Operator(make=Clip),
}
"""Operators by their names in ONNX."""
