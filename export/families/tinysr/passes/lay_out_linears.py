"""Store the linears' weights as MatMul reads them."""

from __future__ import annotations

import torch
from torch import nn

from tinysr.models.sharing import copy_tree

from ....model.baked_transformer import JoinedAttention
from ....model.linears import lay_out
from ..baked import BakedTinySR

__all__ = ["lay_out_linears"]


@torch.no_grad()
def lay_out_linears(model: BakedTinySR) -> BakedTinySR:
    """x·Wᵀ = x·V, with V stored.

    Given: linears with weights ``[outputs, inputs]``.
    Result: the same function; weights are ``[inputs, outputs]``, and no graph transposes them.
    """
    model = copy_tree(model)
    for block in model.transformer.blocks:
        if not isinstance(block.attn.to_out, nn.Linear):
            raise TypeError("the linears are laid out already: the pass ran twice")
        if not isinstance(block.attn, JoinedAttention):
            raise TypeError("q, k and v must be joined before the linears are laid out")
        block.attn.to_qkv = lay_out(block.attn.to_qkv)
        block.attn.to_out = lay_out(block.attn.to_out)
        block.ff.proj_in = lay_out(block.ff.proj_in)
        block.ff.proj_out = lay_out(block.ff.proj_out)
    model.transformer.proj_out = lay_out(model.transformer.proj_out)
    return model
