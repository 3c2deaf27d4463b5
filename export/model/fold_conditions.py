"""Time and text of a UNet that has one of each: what they alone make becomes constants."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.layers.resnet import Resnet
from tinysr.models.layers.spatial_transformer import Attention, TransformerBlock
from tinysr.models.layers.unet2d import Unet2d
from tinysr.models.sharing import copy_tree

from .rewrite import make_convolution
from .typed_blocks import ConstantAttention

__all__ = ["fold_conditions"]


@torch.no_grad()
def fold_conditions(unet: Unet2d, time: Tensor, text: Tensor) -> Unet2d:
    """conv(x) + (W·silu(t) + b) = conv with another bias; K and V of the text are the same always.

    Given: a UNet that is told a time and reads a text.
    Result: the same function of its input alone. The time is in the biases of the convolutions
    that it was added to, and keys, scaled as logits are, and values are constants.

    Args:
        unet: any of these layers.
        time: ``[1]``.
        text: ``[1, T, text]``.
    """
    unet = copy_tree(unet)
    if unet.time_embedding is None:
        raise TypeError("the time is folded already: the pass ran twice")
    embedding = F.silu(unet.time_embedding(time))
    unet.time_embedding, unet.reads_text = None, False
    for module in list(unet.modules()):
        if isinstance(module, Resnet) and module.time_emb_proj is not None:
            conv = module.conv1
            bias = cast("Tensor", conv.bias) + module.time_emb_proj(embedding)[0]
            module.conv1, module.time_emb_proj = make_convolution(conv, conv.weight, bias), None
        elif isinstance(module, TransformerBlock) and module.attn2 is not None:
            module.attn2 = cast("Attention", _freeze_text(module.attn2, text))
    return unet


def _freeze_text(attention: Attention, text: Tensor) -> nn.Module:
    key, value = (attention.split_heads(to(text)) for to in (attention.to_k, attention.to_v))
    scale = key.shape[-1] ** -0.5
    return ConstantAttention(
        attention.to_q,
        attention.to_out,
        (key * scale).transpose(2, 3).contiguous(),
        value.contiguous(),
        heads=attention.heads,
    )
