"""Fold the attention's 1/√64 into q."""

from __future__ import annotations

import torch

from tinysr.models.sharing import copy_tree

from ....model.linears import scale_outputs
from ....model.rewrite import require_constant, split
from ..baked import BakedTinySR

__all__ = ["fold_attention_scale"]


@torch.no_grad()
def fold_attention_scale(model: BakedTinySR) -> BakedTinySR:
    """s·(q kᵀ) = (s·q) kᵀ; s is a power of two, so not a bit changes.

    Given: attention with separate q, k and v, and a logit scale.
    Result: the same function; the scale lives in q.
    """
    model = copy_tree(model)
    for block in model.transformer.blocks:
        attn = split(block)
        scale = require_constant(attn.logit_scale)
        attn.to_q = scale_outputs(attn.to_q, scale)
        attn.logit_scale = None
    return model
