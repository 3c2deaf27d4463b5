"""AdcSR as a chain of stages: how an image is divided, and the memory that a run holds."""

from __future__ import annotations

from tinysr.chain import Chain
from tinysr.errors import UnsupportedError
from tinysr.models.families.adcsr.config import AdcSrConfig
from tinysr.models.layers.held import count_kl_bytes, count_unet_bytes
from tinysr.stages import IMAGE, RESULT, Field, Stage, Tiles

__all__ = ["DECODER", "UNET", "find_chain"]

UNET = "unet"
DECODER = "decoder"
"""Names of the stages, which are the model's submodules too."""

_LEAST_STEPS = 4
"""Cells of the smallest level along a tile's side at least."""

_OVERLAP_SHARE = 4
"""Tiles share at least this part of their side. Their norms have statistics of their own, so that
neighbours differ by more than what they see of each other."""


def find_chain(config: AdcSrConfig, tile: int) -> Chain:
    """Return AdcSR's stages: blended tiles, for norms and attention look at the whole image.

    Args:
        config: the model's.
        tile: side of both stages' tiles, in pixels of the image.

    Raises:
        UnsupportedError: the tile does not divide into cells of the smallest level, or is too
            small.
    """
    align = int(2 ** (len(config.widths) - 1))
    step = align * config.unshuffle
    if tile < _LEAST_STEPS * step or tile % step:
        raise UnsupportedError(
            f"expected a tile of at least {_LEAST_STEPS * step} pixels that divides by {step}, "
            f"found {tile}"
        )
    side = tile // config.unshuffle
    tiles = Tiles(side=side, overlap=-(-side // (_OVERLAP_SHARE * align)) * align)
    cell = config.scale * config.unshuffle
    return Chain(
        scale=config.scale,
        fields=(
            Field(name=IMAGE, channels=3, pixels_per_cell=config.scale),
            Field(name="features", channels=config.features, pixels_per_cell=cell),
            Field(name=RESULT, channels=3, pixels_per_cell=1),
        ),
        stages=(
            Stage(
                name=UNET,
                reads=IMAGE,
                gives="features",
                division=tiles,
                align=align,
                bytes_per_cell=count_unet_bytes(config.unet, side**2),
            ),
            Stage(
                name=DECODER,
                reads="features",
                gives=RESULT,
                division=tiles.model_copy(update={"whole": True}),
                bytes_per_cell=count_kl_bytes(config.decoder_widths),
                keep_fp32=True,
            ),
        ),
    )
