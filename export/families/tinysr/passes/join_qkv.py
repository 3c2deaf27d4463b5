"""Join q, k and v into one linear."""

from __future__ import annotations

import torch

from tinysr.models.sharing import copy_tree

from ....model.baked_transformer import JoinedAttention
from ....model.linears import join_outputs
from ....model.rewrite import split
from ..baked import BakedTinySR

__all__ = ["join_qkv"]


@torch.no_grad()
def join_qkv(model: BakedTinySR) -> BakedTinySR:
    """Read the tokens once instead of three times.

    Given: attention with separate q, k and v, whose logit scale is folded.
    Result: the same function; one linear of 3·dim outputs.
    """
    model = copy_tree(model)
    for block in model.transformer.blocks:
        attn = split(block)
        if attn.logit_scale is not None:
            raise ValueError("the logit scale must be folded before q, k and v are joined")
        to_qkv = join_outputs((attn.to_q, attn.to_k, attn.to_v))
        block.attn = JoinedAttention(to_qkv, attn.to_out)
    return model
