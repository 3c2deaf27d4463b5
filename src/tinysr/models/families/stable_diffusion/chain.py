"""PiSA-SR and OSEDiff as chains of stages: how an image is divided, and the memory of a run."""

from __future__ import annotations

import math

from tinysr.chain import Chain
from tinysr.errors import UnsupportedError
from tinysr.models.families.stable_diffusion.config import OSEDIFF, StableDiffusionConfig
from tinysr.models.layers.held import SCORE_BYTES, count_kl_bytes, count_unet_bytes
from tinysr.stages import IMAGE, RESULT, Field, Stage, Tiles

__all__ = ["DECODER", "ENCODER", "STAGES", "UNET", "find_chain"]

ENCODER = "encoder"
UNET = "unet"
DECODER = "decoder"
STAGES = (ENCODER, UNET, DECODER)
"""Names of the stages, which are the model's submodules too."""

_LEAST_STEPS = 4
"""Cells of the UNet's smallest level along a tile's side at least."""

_OVERLAP_SHARE = 4
"""Tiles share at least this part of their side. Their norms have statistics of their own, so that
neighbours differ by more than what they see of each other."""


def find_chain(config: StableDiffusionConfig, tile: int) -> Chain:
    """Return the stages: blended tiles, for norms and attention look at the whole image.

    Args:
        config: the model's.
        tile: side of all stages' tiles, in pixels of the image.

    Raises:
        UnsupportedError: the tile does not divide into cells of the smallest level, or is too
            small.
    """
    align = int(2 ** (len(config.widths) - 1))
    step = math.lcm(align * config.downscale, config.scale) // config.scale
    if tile < _LEAST_STEPS * step or tile % step:
        raise UnsupportedError(
            f"expected a tile of at least {_LEAST_STEPS * step} pixels that divides by {step}, "
            f"found {tile}"
        )
    side = tile * config.scale // config.downscale
    tiles = Tiles(side=side, overlap=-(-side // (_OVERLAP_SHARE * align)) * align)
    coded = {
        "division": tiles.model_copy(update={"whole": True}),
        "bytes_per_cell": count_kl_bytes(config.vae_widths[::-1]),
        "bytes_per_pair": SCORE_BYTES,
    }
    latents = {"channels": config.latent_channels, "pixels_per_cell": config.downscale}
    return Chain(
        scale=config.scale,
        enlarges="pillow-8-bit",
        fields=(
            Field(name=IMAGE, channels=3, pixels_per_cell=1),
            Field(name="latents", **latents),
            Field(name="restored", **latents),
            Field(name=RESULT, channels=3, pixels_per_cell=1),
        ),
        stages=(
            Stage(name=ENCODER, reads=IMAGE, gives="latents", **coded),
            Stage(
                name=UNET,
                reads="latents",
                gives="restored",
                division=tiles,
                align=align,
                bytes_per_cell=count_unet_bytes(config.unet, side**2),
                # The step multiplies rounding by 15: fp16 of the noise alone would leave 48 dB.
                keep_fp32=config.family == OSEDIFF,
                restores=True,
            ),
            Stage(name=DECODER, reads="restored", gives=RESULT, keep_fp32=True, **coded),
        ),
    )
