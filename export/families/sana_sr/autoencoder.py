"""Baking of the autoencoder's halves: shortcuts, factors, ranges become parts of convolutions."""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.families.sana_sr.model import Latents, Picture
from tinysr.models.layers.autoencoder_dc import (
    QUARTERS,
    DcDecoder,
    DcEncoder,
    Lower,
    MultiscaleAttention,
    Raise,
)
from tinysr.models.sharing import copy_tree

from ...model.resize import FixedResize
from ...model.rewrite import make_convolution, replace_modules
from ...model.typed import BORDER, Typed, as_type
from ...model.typed_blocks import type_blocks
from .parts import TYPED_PARTS, BakedMultiscale, BakedRaise, LinearCore

__all__ = ["bake_decoder", "bake_encoder", "fold_means", "fold_repeats", "join_attention"]

N = TypeVar("N", DcEncoder, DcDecoder)


class BakedLatents(Typed):
    """Image → latents, as the transformer takes them."""

    def __init__(self, net: DcEncoder) -> None:
        super().__init__()
        self.resize = FixedResize()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, 8h, 8w]`` in [0, 1] to ``[N, C, h, w]``, for cells of 32 pixels."""
        x = self.net.conv_in(self.cast_input(self.resize(image)) * 2 - 1)
        for blocks in self.net.down_blocks:
            x = blocks(x)
        return as_type(self.net.conv_out(x), BORDER)


class BakedPicture(nn.Module):
    """Restored latents → image."""

    def __init__(self, net: DcDecoder) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, 3, 32h, 32w]``, about [0, 1], unclamped."""
        x = self.net.conv_in(z)
        for blocks in reversed(self.net.up_blocks):
            x = blocks(x)
        return as_type(self.net.conv_out(F.relu(self.net.norm_out(x))), BORDER)


def bake_encoder(stage: Latents, cells: int) -> BakedLatents:
    """Return the encoder for tiles of so many latents a side.

    Given: the eager stage.
    Result: the same function. Means of channels and the latents' factor are in convolutions; the
    resize is one.
    """
    net = _bake_parts(stage.net, cells)
    last = net.conv_out
    means = _average(last.out_channels, last.in_channels, last.weight)
    weight = (last.weight + _centre(means)) * stage.factor
    net.conv_out = make_convolution(last, weight, _bias(last) * stage.factor)
    return BakedLatents(net)


def bake_decoder(stage: Picture, cells: int) -> BakedPicture:
    """Return the decoder for tiles of so many latents a side.

    Given: the eager stage.
    Result: the same function. Repeated channels, the latents' factor and the image's range are in
    convolutions, but for shortcuts that give a pixel's rows different channels.
    """
    net = _bake_parts(stage.net, cells)
    first, last = net.conv_in, net.conv_out
    repeats = _repeat(first.out_channels, first.in_channels, first.weight)
    weight = (first.weight + _centre(repeats)) / stage.factor
    net.conv_in = make_convolution(first, weight, _bias(first))
    net.conv_out = make_convolution(last, last.weight / 2, (_bias(last) + 1) / 2)
    return BakedPicture(net)


def _bake_parts(net: N, cells: int) -> N:
    """Return a copy whose attention is joined, whose shortcuts are folded, and that has types."""
    net = copy_tree(net)
    levels = net.down_blocks if isinstance(net, DcEncoder) else net.up_blocks
    for level, blocks in enumerate(levels):
        side = cells * 2 ** (len(levels) - 1 - level)
        for path, module in list(blocks.named_modules()):
            if isinstance(module, MultiscaleAttention):
                owner, _, name = path.rpartition(".")
                setattr(blocks.get_submodule(owner), name, join_attention(module, side**2))
    net = replace_modules(net, Lower, fold_means)
    net = replace_modules(net, Raise, fold_repeats)
    return type_blocks(net, TYPED_PARTS)


def join_attention(attention: MultiscaleAttention, places: int) -> BakedMultiscale:
    """Return attention with one 1×1 convolution for q, k and v, and one for what comes out.

    Given: linears, for which pixels are moved before their channels and back.
    Result: the same function for so many places.
    """
    tos = (attention.to_q, attention.to_k, attention.to_v)
    joined = torch.cat([to.weight for to in tos])
    core = LinearCore(places, attention.head_size)
    out = _make_pointwise(attention.to_out.weight)
    return BakedMultiscale(
        _make_pointwise(joined), attention.to_qkv_multiscale, core, out, attention.norm_out
    )


def fold_means(lower: Lower) -> nn.Conv2d:
    """Return the strided convolution with the means of its shortcut.

    Given: a kernel of 3 that begins one pixel before the four that become channels.
    Result: the same function.
    """
    conv = lower.conv
    means = _average(conv.out_channels, conv.in_channels * QUARTERS, conv.weight)
    weight = conv.weight + F.pad(means.reshape(*conv.weight.shape[:2], 2, 2), (1, 0, 1, 0))
    return make_convolution(conv, weight, conv.bias)


def fold_repeats(rise: Raise) -> nn.Module:
    """Return the convolution with the repeated channels of its shortcut.

    Given: as many channels as before, or more: all four pixels of a cell are one channel's.
    Result: the same function. With fewer channels, a cell's rows are different channels', which a
    convolution of nearest neighbours can't tell: that shortcut stays.
    """
    conv = rise.conv
    if conv.out_channels % conv.in_channels:
        return rise
    repeats = _repeat(conv.out_channels, conv.in_channels, conv.weight)
    return BakedRaise(make_convolution(conv, conv.weight + _centre(repeats), conv.bias))


def _average(outputs: int, inputs: int, like: Tensor) -> Tensor:
    """Return the matrix ``[outputs, inputs]`` that averages neighbouring channels."""
    return _repeat(inputs, outputs, like).t() * (outputs / inputs)


def _repeat(outputs: int, inputs: int, like: Tensor) -> Tensor:
    """Return the matrix ``[outputs, inputs]`` that repeats each channel."""
    eye = torch.eye(inputs, dtype=like.dtype, device=like.device)
    return eye.repeat_interleave(outputs // inputs, dim=0)


def _centre(matrix: Tensor) -> Tensor:
    """Return a matrix as the middle of a kernel of 3."""
    return F.pad(matrix[:, :, None, None], (1, 1, 1, 1))


def _make_pointwise(weight: Tensor) -> nn.Conv2d:
    """Return a 1×1 convolution of a linear's weight ``[outputs, inputs]``."""
    outputs, inputs = weight.shape
    like = nn.Conv2d(inputs, outputs, 1, bias=False, device="meta")
    return make_convolution(like, weight[:, :, None, None], None)


def _bias(conv: nn.Conv2d) -> Tensor:
    if conv.bias is None:
        raise TypeError("expected a convolution with a bias")
    return conv.bias
