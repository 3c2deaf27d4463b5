"""Operations written out: what happens between the input and the output of a norm or a softmax.

A graph shows a norm as one operation, and its output says nothing about the squares inside it.
What a runtime does there differs, and changes between versions. ONNX Runtime and PyTorch keep a
norm's moments in fp32 whatever its input is; Core ML lowers some norms to fp16 subtractions,
squares and means, one by one. A plan serves them all, so this is the conservative reading: every
inner step is a value of its own, which has to fit in fp16 and is rounded to it.

Sums inside convolutions and matrix products are the exception: they are taken as accumulated in
fp32 and rounded once, as tensor cores and every CPU do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["OUTPUT", "WRITTEN_OUT", "Step", "WrittenOut"]

OUTPUT = ""
"""The label of an operation's own output, beside those of its inner steps."""

Step = Callable[[str, Tensor], Tensor]
"""Callback, called with the label and the value of every step; what it returns goes on to the
next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenOut:
    """An operation as its steps."""

    name: str
    labels: tuple[str, ...]
    """Labels of the inner steps, in their order; the output comes after them."""
    compute: Callable[..., Any]
    """Function that computes the operation from a :data:`Step` and the operation's arguments."""


def _layer_norm(  # noqa: PLR0917  the operation's own order
    step: Step,
    x: Tensor,
    shape: list[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> tuple[Tensor]:
    if weight is not None or bias is not None:
        raise ValueError("expected a norm without affine: baking folds it")
    dims = tuple(range(-len(shape), 0))
    count = math.prod(shape)
    mean = step("mean", step("sum", x.sum(dims, keepdim=True)) / count)
    centred = step("centred", x - mean)
    squared_sum = step("squared sum", step("square", centred * centred).sum(dims, keepdim=True))
    variance = step("variance", squared_sum / count)
    scale = step("scale", torch.rsqrt(variance + eps))
    return (step(OUTPUT, centred * scale),)


def _softmax(step: Step, x: Tensor, dim: int, half_to_float: bool) -> Tensor:
    if half_to_float:
        raise ValueError("expected a softmax of one type")
    powers = step("exp", step("shifted", x - x.amax(dim, keepdim=True)).exp())
    return step(OUTPUT, powers / step("sum", powers.sum(dim, keepdim=True)))


def _gelu(step: Step, x: Tensor, *, approximate: str = "none") -> Tensor:
    if approximate != "tanh":
        raise ValueError(f"expected GELU's tanh form, found '{approximate}'")
    cube = step("cube", x * x * x)
    argument = step("argument", math.sqrt(2 / math.pi) * (x + 0.044715 * cube))
    return step(OUTPUT, 0.5 * x * step("gain", 1 + torch.tanh(argument)))


_ATEN = torch.ops.aten

WRITTEN_OUT: dict[Any, WrittenOut] = {
    _ATEN.native_layer_norm.default: WrittenOut(
        name="layer_norm",
        labels=("sum", "mean", "centred", "square", "squared sum", "variance", "scale"),
        compute=_layer_norm,
    ),
    _ATEN._softmax.default: WrittenOut(
        name="softmax", labels=("shifted", "exp", "sum"), compute=_softmax
    ),
    _ATEN.gelu.default: WrittenOut(name="gelu", labels=("cube", "argument", "gain"), compute=_gelu),
}
"""Operations that are written out; all others are one step."""
