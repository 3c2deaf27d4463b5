"""Fold each gate into the linear before it."""

from __future__ import annotations

import torch

from tinysr.models.sharing import copy_tree

from ....model.linears import scale_outputs
from ....model.rewrite import require_constant
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
        block.attn.to_out = scale_outputs(block.attn.to_out, require_constant(block.gate_attn))
        block.ff.proj_out = scale_outputs(block.ff.proj_out, require_constant(block.gate_ff))
        block.gate_attn = block.gate_ff = None
    return model
