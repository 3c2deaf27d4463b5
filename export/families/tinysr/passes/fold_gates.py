"""Fold each gate into the linear before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tinysr.models.sharing import copy_tree

from ....model.baked_transformer import Affine
from ....model.rewrite import make_linear, require_constant
from ..baked import BakedTinySR

__all__ = ["fold_gates"]


@torch.no_grad()
def fold_gates(model: BakedTinySR) -> BakedTinySR:
    """g(Wx + b) = (g·W)x + g·b.

    Given: blocks that gate their attention and their feed-forward.
    Result: the same function; the gates live in both parts' last linears.
    """
    model = copy_tree(model)
    for block in model.transformer.blocks:
        block.attn.to_out = _scale_outputs(require_constant(block.gate_attn), block.attn.to_out)
        block.ff.proj_out = _scale_outputs(require_constant(block.gate_ff), block.ff.proj_out)
        block.gate_attn = block.gate_ff = None
    return model


def _scale_outputs(gate: Tensor, layer: Affine) -> nn.Linear:
    return make_linear(layer.weight * gate[:, None], layer.bias * gate)
