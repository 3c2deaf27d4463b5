"""Both halves of TSD-SR's autoencoder, with the latents' scale and the ranges folded in."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysr.models.layers.autoencoder_kl import KlDecoder, KlEncoder
from tinysr.stages import CENTRE

from ...model.resize import CentredResize
from ...model.rewrite import make_convolution
from ...model.typed import BORDER, Typed, as_type

__all__ = ["BakedKlDecoder", "BakedKlEncoder", "fold_decoder", "fold_encoder"]


class BakedKlEncoder(Typed, KlEncoder):
    """Image in [0, 1] → latents, scaled."""

    centre: CentredResize

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` to ``[N, C, H/2, W/2]``."""
        x = self.conv_in(self.centre(image))
        for level in self.down_blocks:
            x = level(x)
        y = self.conv_norm_out(self.mid_block(x))
        return as_type(self.conv_out(F.silu(self.cast_input(y))), BORDER)


class BakedKlDecoder(Typed, KlDecoder):
    """Latents, scaled → image, about [0, 1]."""

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, 3, 8h, 8w]``, unclamped."""
        x = self.mid_block(self.conv_in(z))
        for level in self.up_blocks:
            x = level(x)
        y = self.conv_out(F.silu(self.cast_input(self.conv_norm_out(x))))
        return as_type(y, BORDER)


@torch.no_grad()
def fold_encoder(encoder: KlEncoder, factor: float) -> BakedKlEncoder:
    """s·(Wx + b) = (s·W)x + s·b, and only the mean of the latents is computed.

    Given: an encoder that gives the moments of latents before their scaling factor s.
    Result: one from the image before its resize to the scaled mean. Modules keep their paths.
    """
    encoder.__class__ = BakedKlEncoder
    baked: BakedKlEncoder = encoder  # type: ignore[assignment]
    last = encoder.conv_out
    means = last.out_channels // 2
    bias = None if last.bias is None else last.bias[:means] * factor
    baked.conv_out = make_convolution(last, last.weight[:means] * factor, bias)
    baked.add_module(CENTRE, CentredResize())
    return baked


@torch.no_grad()
def fold_decoder(decoder: KlDecoder, factor: float) -> BakedKlDecoder:
    """W(z/s) + b = (W/s)z + b, and the same for the map (x + 1)/2 after the last convolution.

    Given: a decoder from latents before their scaling factor s to an image in [-1, 1].
    Result: one from scaled latents to an image in [0, 1]. Modules keep their paths.
    """
    decoder.__class__ = BakedKlDecoder
    baked: BakedKlDecoder = decoder  # type: ignore[assignment]
    first, last = decoder.conv_in, decoder.conv_out
    baked.conv_in = make_convolution(first, first.weight / factor, first.bias)
    bias = None if last.bias is None else (last.bias + 1) / 2
    baked.conv_out = make_convolution(last, last.weight / 2, bias)
    return baked
