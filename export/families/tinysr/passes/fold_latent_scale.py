"""Fold the VAE's scaling factor and the decoder's soft clamp into the neighbouring weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tinysr.models.layers.autoencoder_tiny import SeparableConv
from tinysr.models.sharing import copy_tree

from ....model.linears import scale_outputs
from ....model.rewrite import make_convolution, require_constant
from ..baked import BakedTinySR

__all__ = ["fold_latent_scale"]


@torch.no_grad()
def fold_latent_scale(model: BakedTinySR) -> BakedTinySR:
    """Choose the latents' unit so that the decoder starts with a bare tanh.

    With scaling factor s and clamp c the decoder computes c·tanh(z / (s·c)). Latents in units of
    s·c need no factor there: the encoder's last convolution absorbs 1/c (its own s cancels), the
    patch embedding s·c, ``proj_out`` 1/(s·c), and the decoder's first convolution c.

    Given: an encoder and a decoder with their gains, and the clamp's limit.
    Result: the same image; latents are the eager model's times the units that the chain now says.
    """
    model = copy_tree(model)
    factor, limit = require_constant(model.encoder.gain), require_constant(model.decoder.limit)
    unit = factor * limit
    stream = model.transformer
    _replace_conv(model.encoder.layers, len(model.encoder.layers) - 1, 1 / limit, shift=True)
    stream.pos_embed.proj = _scale_conv(stream.pos_embed.proj, unit, shift=False)
    stream.proj_out = scale_outputs(stream.proj_out, 1 / unit)
    _replace_conv(model.decoder.layers, 0, limit, shift=False)
    model.encoder.gain = model.decoder.gain = model.decoder.limit = None
    model.chain = model.chain.with_units({"latents": 1 / unit, "restored": 1 / unit})
    return model


def _replace_conv(layers: nn.Sequential, index: int, factor: float, *, shift: bool) -> None:
    layer = layers[index]
    if isinstance(layer, SeparableConv):
        layer.pointwise = _scale_conv(layer.pointwise, factor, shift=shift)
    elif isinstance(layer, nn.Conv2d):
        layers[index] = _scale_conv(layer, factor, shift=shift)
    else:
        raise TypeError(f"expected a convolution at layer {index}, found {type(layer).__name__}")


def _scale_conv(conv: nn.Conv2d, factor: float, *, shift: bool) -> nn.Conv2d:
    """Return ``conv`` for an input (or, with ``shift``, an output) that is ``factor`` as large."""
    bias: Tensor | None = conv.bias
    if bias is not None and shift:
        bias = bias * factor
    return make_convolution(conv, conv.weight * factor, bias)
