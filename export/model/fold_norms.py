"""Scales and shifts of norms that linears follow, with no activation between."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import nn

from tinysr.models.layers.autoencoder_kl import PixelAttention
from tinysr.models.layers.spatial_transformer import (
    Attention,
    GatedProjection,
    SpatialTransformer,
    TransformerBlock,
)
from tinysr.models.sharing import copy_tree

from .rewrite import make_linear
from .typed_blocks import ConstantAttention

__all__ = ["fold_norms"]

M = TypeVar("M", bound=nn.Module)

_Norm = nn.LayerNorm | nn.GroupNorm


@torch.no_grad()
def fold_norms(model: M) -> M:
    """W(s·x + t) + b = (W·s)x + (Wt + b).

    A bias of keys shifts all logits of a query alike, which the softmax takes away: keys get none.
    Values are weighed by numbers that add up to 1, so that their bias goes into what follows.

    Given: norms with a scale and a shift. Text is folded or there is none.
    Result: the same function; norms before linears have neither.
    """
    model = copy_tree(model)
    for module in list(model.modules()):
        fold = _FOLDS.get(type(module))
        if fold is not None:
            fold(module)
    return model


def _fold_block(block: TransformerBlock) -> None:
    _fold_attention(block.norm1, block.attn1)
    block.norm1 = _strip(block.norm1)
    if block.norm2 is not None and block.attn2 is not None:
        text = cast("nn.Module", block.attn2)
        if not isinstance(text, ConstantAttention):
            raise TypeError("the text must be folded before the norms")
        text.to_q = _scale_inputs(block.norm2, cast("nn.Linear", text.to_q))
        block.norm2 = _strip(block.norm2)
    gated = cast("GatedProjection", block.ff.net[0])
    gated.proj = _scale_inputs(block.norm3, gated.proj)
    block.norm3 = _strip(block.norm3)


def _fold_transformer(transformer: SpatialTransformer) -> None:
    transformer.proj_in = _scale_inputs(transformer.norm, transformer.proj_in)
    transformer.norm = _strip(transformer.norm)


def _fold_pixels(attention: PixelAttention) -> None:
    _fold_attention(attention.group_norm, attention)
    attention.group_norm = _strip(attention.group_norm)


def _fold_attention(norm: _Norm, attention: Attention | PixelAttention) -> None:
    attention.to_q = _scale_inputs(norm, attention.to_q)
    attention.to_k = make_linear(attention.to_k.weight * norm.weight, None)
    value = _scale_inputs(norm, attention.to_v)
    attention.to_v = make_linear(value.weight, None)
    out = cast("nn.Linear", attention.to_out[0])
    attention.to_out[0] = make_linear(out.weight, out.bias + out.weight @ value.bias)


def _scale_inputs(norm: _Norm, layer: nn.Linear) -> nn.Linear:
    bias = layer.weight @ norm.bias
    weight = layer.weight * norm.weight
    return make_linear(weight, bias if layer.bias is None else layer.bias + bias)


N = TypeVar("N", bound=_Norm)


def _strip(norm: N) -> N:
    """Return a norm without scale and shift."""
    if isinstance(norm, nn.LayerNorm):
        shape = norm.normalized_shape
        return cast("N", nn.LayerNorm(shape, norm.eps, elementwise_affine=False))
    return cast("N", nn.GroupNorm(norm.num_groups, norm.num_channels, norm.eps, affine=False))


_FOLDS: dict[type[nn.Module], Callable[..., None]] = {
    PixelAttention: _fold_pixels,
    SpatialTransformer: _fold_transformer,
    TransformerBlock: _fold_block,
}
"""Blocks with such norms, and what folds them."""
