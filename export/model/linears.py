"""Linears with what stands before and after them folded in: each gives a new layer.

Weights that are folded are new; those of the layers that were given stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .baked_transformer import Affine, MatMulLinear
from .rewrite import make_linear

__all__ = ["join_outputs", "lay_out", "modulate_inputs", "scale_outputs"]


def modulate_inputs(layer: Affine, scale: Tensor, shift: Tensor) -> nn.Linear:
    """Return W(s·x + t) + b = (W·s)x + (Wt + b), for scales and shifts ``[inputs]``."""
    return make_linear(layer.weight * scale, layer.bias + layer.weight @ shift)


def scale_outputs(layer: Affine, factor: Tensor | float) -> nn.Linear:
    """Return g(Wx + b) = (g·W)x + g·b, for one factor, or one for each output."""
    rows = factor[:, None] if isinstance(factor, Tensor) else factor
    return make_linear(layer.weight * rows, layer.bias * factor)


def join_outputs(layers: Sequence[Affine]) -> nn.Linear:
    """Return one linear whose outputs are those of several, one after the other."""
    return make_linear(
        torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
    )


def lay_out(layer: Affine) -> MatMulLinear:
    """Return a linear whose weight lies as MatMul reads it."""
    # A view: the weight is put in this order when it is written, and never held twice.
    return MatMulLinear(layer.weight.t(), layer.bias)
