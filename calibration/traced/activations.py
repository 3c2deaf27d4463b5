"""Softmax, attention and smooth activations written out.

An exponential of large size is no step where every runtime computes it so that infinity does no
harm: 1 / (1 + infinity) is the zero that a sigmoid tends to.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .steps import OUTPUT, Step, WrittenOut

__all__ = ["ACTIVATIONS", "TANH_GELU"]


def _softmax(step: Step, x: Tensor, dim: int, half_to_float: bool) -> Tensor:
    if half_to_float:
        raise ValueError("expected a softmax of one type")
    powers = step("exp", step("shifted", x - x.amax(dim, keepdim=True)).exp())
    return step(OUTPUT, powers / step("sum", powers.sum(dim, keepdim=True)))


def _attention(
    step: Step,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *choices: Any,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    mask, *others = choices or (None,)
    if mask is not None or any(others) or enable_gqa:  # the others: dropout, causality
        raise ValueError("expected attention of all queries to all keys, without a mask")
    products = step("products", q @ k.mT)
    logits = step("logits", products * (q.shape[-1] ** -0.5 if scale is None else scale))
    powers = step("exp", step("shifted", logits - logits.amax(-1, keepdim=True)).exp())
    weights = step("weights", powers / step("sum", powers.sum(-1, keepdim=True)))
    return step(OUTPUT, weights @ v)


def _silu(step: Step, x: Tensor) -> Tensor:
    return step(OUTPUT, x * step("gain", torch.sigmoid(x)))


def _exact_gelu(step: Step, x: Tensor, *, approximate: str = "none") -> Tensor:
    argument = step("argument", x * math.sqrt(0.5))
    return step(OUTPUT, 0.5 * x * step("gain", 1 + torch.erf(argument)))


def _tanh_gelu(step: Step, x: Tensor, *, approximate: str = "tanh") -> Tensor:
    cube = step("cube", x * x * x)
    argument = step("argument", math.sqrt(2 / math.pi) * (x + 0.044715 * cube))
    return step(OUTPUT, 0.5 * x * step("gain", 1 + torch.tanh(argument)))


_ATEN = torch.ops.aten

TANH_GELU = WrittenOut(name="gelu", labels=("cube", "argument", "gain"), compute=_tanh_gelu)
"""GELU whose keyword ``approximate`` is tanh; the same operation has an exact form."""

ACTIVATIONS: dict[Any, WrittenOut] = {
    _ATEN._softmax.default: WrittenOut(
        name="softmax", labels=("shifted", "exp", "sum"), compute=_softmax
    ),
    _ATEN.scaled_dot_product_attention.default: WrittenOut(
        name="attention",
        labels=("products", "logits", "shifted", "exp", "sum", "weights"),
        compute=_attention,
    ),
    _ATEN.silu.default: WrittenOut(name="silu", labels=("gain",), compute=_silu),
    _ATEN.gelu.default: WrittenOut(name="gelu", labels=("argument", "gain"), compute=_exact_gelu),
}
"""Operations that are written out, in their usual form."""
