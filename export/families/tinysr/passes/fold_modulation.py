"""Fold ``1 + scale`` and ``shift`` into the linears that follow each norm."""

from __future__ import annotations

import torch
from torch import nn

from tinysr.models.sharing import copy_tree

from ....model.baked_transformer import Affine, Modulated
from ....model.linears import modulate_inputs
from ....model.rewrite import require_constant, split
from ..baked import BakedTinySR

__all__ = ["fold_modulation", "fold_norm_out"]


@torch.no_grad()
def fold_modulation(model: BakedTinySR) -> BakedTinySR:
    """W(s·x + t) + b = (W·s)x + (Wt + b).

    Given: blocks whose norms are scaled and shifted, and whose q, k and v are separate.
    Result: the same function; scale and shift live in q, k, v and the feed-forward's first linear.
    """
    model = copy_tree(model)
    for block in model.transformer.blocks:
        attn = split(block)
        attn.to_q = _modulate_inputs(block.norm_attn, attn.to_q)
        attn.to_k = _modulate_inputs(block.norm_attn, attn.to_k)
        attn.to_v = _modulate_inputs(block.norm_attn, attn.to_v)
        block.ff.proj_in = _modulate_inputs(block.norm_ff, block.ff.proj_in)
        for norm in (block.norm_attn, block.norm_ff):
            norm.scale = norm.shift = None
    return model


@torch.no_grad()
def fold_norm_out(model: BakedTinySR) -> BakedTinySR:
    """The same for the last norm and ``proj_out``.

    Given: a last norm that is scaled and shifted.
    Result: the same function; scale and shift live in ``proj_out``.
    """
    model = copy_tree(model)
    stream = model.transformer
    stream.proj_out = _modulate_inputs(stream.norm_out, stream.proj_out)
    stream.norm_out.scale = stream.norm_out.shift = None
    return model


def _modulate_inputs(norm: Modulated, layer: Affine) -> nn.Linear:
    return modulate_inputs(layer, require_constant(norm.scale), require_constant(norm.shift))
