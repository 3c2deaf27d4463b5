"""Receptive field and memory of the autoencoder's windows, computed from its layers alone."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from tinysr.manifest import Halo
from tinysr.models.config import SCALE, VaeConfig
from tinysr.models.vae import Decoder, Encoder, ResidualBlock, SeparableConv

__all__ = ["feature_bytes", "halo"]

_MAPS = 4
"""Feature maps at the size of the image that are in memory at once."""

_BICUBIC_REACH = 2
"""Input pixels that a cubic kernel reads on either side."""


def halo(encoder: Encoder, decoder: Decoder) -> Halo:
    """Return the margins within which a tile's result depends on its surroundings.

    With this much context on every side, a tile is encoded or decoded bit for bit like the
    whole image.
    """
    left, right = _reach(encoder.layers)
    margin = max(left, right)  # in pixels of the upscaled image
    return Halo(encoder=(margin + 1) // SCALE + _BICUBIC_REACH, decoder=max(_reach(decoder.layers)))


def feature_bytes(config: VaeConfig) -> int:
    """Return the bytes that a run of the encoder or decoder holds for each latent pixel, in fp32.

    The most is held in a block at the size of the image: its input, which the skip needs, and
    around a convolution what it reads, what it writes, and a copy in its kernel's own layout.
    """
    return _MAPS * config.width * config.downscale**2 * 4


def _reach(layers: Iterable[nn.Module]) -> tuple[int, int]:
    """Return how many input elements before and after a tile its output reads."""
    left = right = 0
    for layer in reversed(list(_flatten(layers))):
        if isinstance(layer, nn.Upsample):
            left, right = (left + 1) // 2, (right + 1) // 2
        elif _stride(layer) == 2:
            # Output i reads inputs 2i - 1 to 2i + 1.
            left, right = 2 * left + 1, 2 * right
        else:
            left, right = left + 1, right + 1
    return left, right


def _flatten(layers: Iterable[nn.Module]) -> Iterable[nn.Module]:
    """Yield the layers that move information: 3×3 convolutions and upsampling."""
    for layer in layers:
        if isinstance(layer, ResidualBlock):
            yield from _flatten(layer.conv)
        elif isinstance(layer, nn.Conv2d | SeparableConv | nn.Upsample):
            yield layer
        elif not isinstance(layer, nn.ReLU):
            raise TypeError(f"the reach of a {type(layer).__name__} is not known")


def _stride(layer: nn.Module) -> int:
    conv = layer.depthwise if isinstance(layer, SeparableConv) else layer
    if not isinstance(conv, nn.Conv2d):
        raise TypeError(f"expected a convolution, found {type(layer).__name__}")
    return conv.stride[0]
