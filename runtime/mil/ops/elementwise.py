"""Operations element by element: arithmetic, comparisons, choices."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..table import op

__all__ = ["cast", "clip", "inverse", "log", "real_div", "rsqrt", "select", "threshold"]

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "asin": torch.asin,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "logical_not": torch.logical_not,
    "round": torch.round,
    "sign": torch.sign,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
}

_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "equal": torch.eq,
    "floor_div": torch.floor_divide,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mod": torch.remainder,
    "mul": torch.mul,
    "not_equal": torch.ne,
    "pow": torch.pow,
    "sub": torch.sub,
}


_EXACT = ("abs", "add", "maximum", "minimum", "mul", "sign", "sub")
"""Operations that fp16 rounds correctly, too."""


def _enter_unary(name: str, compute: Callable[[Tensor], Tensor]) -> None:
    @op(name, narrow=name in _EXACT)
    def one(x: Tensor) -> Tensor:
        return compute(x)


def _enter_binary(name: str, compute: Callable[[Tensor, Tensor], Tensor]) -> None:
    @op(name, narrow=name in _EXACT)
    def two(x: Tensor, y: Tensor) -> Tensor:
        return compute(x, y)


for _name, _compute in _UNARY.items():
    _enter_unary(_name, _compute)

for _name, _both in _BINARY.items():
    _enter_binary(_name, _both)


@op("cast")
def cast(x: Tensor, dtype: str) -> Tensor:
    """Leave the value: the declared type of the result is the cast."""
    return x != 0 if dtype == "bool" else x


@op("clip", narrow=True)
def clip(x: Tensor, alpha: float, beta: float) -> Tensor:
    """Keep values in [alpha, beta]; NaN stays."""
    return torch.clamp(x, alpha, beta)


@op("inverse")
def inverse(x: Tensor, epsilon: float = 1e-4) -> Tensor:
    """1 / (x + epsilon)."""
    return 1 / (x + epsilon)


@op("log")
def log(x: Tensor, epsilon: float = 1e-45) -> Tensor:
    """ln(x + epsilon)."""
    return torch.log(x + epsilon)


@op("real_div")
def real_div(x: Tensor, y: Tensor) -> Tensor:
    """Divide; integers give the quotient without its fraction, as their type has none."""
    return x / y


@op("rsqrt")
def rsqrt(x: Tensor, epsilon: float = 1e-12) -> Tensor:
    """1 / √(x + epsilon)."""
    return 1 / torch.sqrt(x + epsilon)


@op("select")
def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Take a where the condition holds, b elsewhere."""
    return torch.where(cond, a, b)


@op("threshold")
def threshold(x: Tensor, alpha: float) -> Tensor:
    """max(x, alpha)."""
    return torch.clamp(x, min=alpha)
