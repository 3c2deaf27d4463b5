"""TinySR as a chain of stages: reach and memory, computed from its layers alone."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from tinysr.chain import Chain
from tinysr.errors import UnsupportedError
from tinysr.models.families.tinysr.config import ModelConfig
from tinysr.models.layers.autoencoder_tiny import (
    Decoder,
    Encoder,
    ResidualBlock,
    SeparableConv,
    VaeConfig,
)
from tinysr.models.layers.tokens import check_grid
from tinysr.models.one_step import SCALE
from tinysr.stages import IMAGE, RESULT, Field, Stage, Tiles, Windows

__all__ = ["find_chain"]

_MAPS = 4
"""Feature maps at the size of the image that are in memory at once."""

_FLOAT = 4

_LEAST_STEPS = 4
"""Tokens along a tile's side at least."""

_OVERLAP_SHARE = 8
"""Tiles share at least this part of their side."""

_BICUBIC_REACH = 2
"""Input pixels that a cubic kernel reads on either side."""


def find_chain(config: ModelConfig, encoder: Encoder, decoder: Decoder, tile: int) -> Chain:
    """Return TinySR's stages: exact windows around blended tiles.

    With its halo on every side, a window is encoded or decoded bit for bit like the whole image.

    Args:
        config: the model's.
        encoder: of the model, eager or baked.
        decoder: likewise.
        tile: side of the transformer's tiles, in low-resolution pixels.

    Raises:
        UnsupportedError: the tile does not divide into tokens, or is too small or too large.
    """
    cell, patch = config.vae.downscale, config.transformer.patch
    step = cell * patch // SCALE
    if tile < _LEAST_STEPS * step or tile % step:
        raise UnsupportedError(
            f"expected a tile of at least {_LEAST_STEPS * step} pixels that divides by {step}, "
            f"found {tile}"
        )
    side = tile * SCALE // cell
    check_grid(side // patch, side // patch, config.transformer.position_grid)
    held = _feature_bytes(config.vae)
    tokens = (side // patch) ** 2
    attention = config.transformer.heads * tokens * _FLOAT // patch**2
    channels = config.vae.latent_channels
    return Chain(
        scale=SCALE,
        fields=(
            Field(name=IMAGE, channels=3, pixels_per_cell=SCALE),
            Field(name="latents", channels=channels, pixels_per_cell=cell),
            Field(name="restored", channels=channels, pixels_per_cell=cell),
            Field(name=RESULT, channels=3, pixels_per_cell=1),
        ),
        stages=(
            Stage(
                name="encoder",
                reads=IMAGE,
                gives="latents",
                division=Windows(halo=_encoder_halo(encoder, cell // SCALE)),
                bytes_per_cell=held,
                # Latents of flat images are small differences of large values: bf16 leaves 20 dB.
                keep_fp32=True,
            ),
            Stage(
                name="transformer",
                reads="latents",
                gives="restored",
                division=Tiles(side=side, overlap=_overlap(side, patch)),
                align=patch,
                bytes_per_cell=max(1, attention),
                restores=True,
            ),
            Stage(
                name="decoder",
                reads="restored",
                gives=RESULT,
                division=Windows(halo=max(_reach(decoder.layers))),
                bytes_per_cell=held,
            ),
        ),
    )


def _encoder_halo(encoder: Encoder, pixels: int) -> int:
    """Return the latents around a window, whose sides are so many pixels of the image."""
    margin = max(_reach(encoder.layers))  # in pixels of the upscaled image
    return -(-((margin + 1) // SCALE + _BICUBIC_REACH) // pixels)


def _overlap(side: int, patch: int) -> int:
    """Return what tiles share: an eighth, at least, that leaves them on token borders."""
    return -(-side // (patch * _OVERLAP_SHARE)) * patch


def _feature_bytes(config: VaeConfig) -> int:
    """Return the bytes that a run of the encoder or decoder holds for each latent pixel, in fp32.

    The most is held in a block at the size of the image: its input, which the skip needs, and
    around a convolution what it reads, what it writes, and a copy in its kernel's own layout.
    """
    return _MAPS * config.width * config.downscale**2 * _FLOAT


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
