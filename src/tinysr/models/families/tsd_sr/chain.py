"""TSD-SR as a chain of stages: how an image is divided, and the memory that a run holds."""

from __future__ import annotations

from tinysr.chain import Chain
from tinysr.errors import UnsupportedError
from tinysr.models.families.tsd_sr.bounds import LEVELS
from tinysr.models.families.tsd_sr.config import TsdSrConfig
from tinysr.models.layers.held import SCORE_BYTES, count_kl_bytes
from tinysr.models.layers.tokens import check_grid
from tinysr.models.one_step import SCALE
from tinysr.stages import IMAGE, RESULT, Field, Stage, Tiles

__all__ = ["CELL", "DECODER", "ENCODER", "TRANSFORMER", "find_chain"]

ENCODER = "encoder"
TRANSFORMER = "transformer"
DECODER = "decoder"
"""Names of the stages, which are the model's submodules too."""

CELL: int = 2 ** (LEVELS - 1)
"""Pixels of the result along a latent's side."""

_FLOAT = 4

_SCORES = 2
"""Copies of attention's scores: before and after the softmax."""

_LEAST_STEPS = 4
"""Tokens along a tile's side at least."""

_AUTOENCODER_SHARE = 4
"""Tiles of the autoencoder share at least this part of their side. Their norms have statistics of
their own, so that neighbours differ by more than what they see of each other."""

_TRANSFORMER_SHARE = 8
"""Tiles of the transformer share at least this part of their side, as the authors' do."""


def find_chain(config: TsdSrConfig, tile: int) -> Chain:
    """Return TSD-SR's stages: blended tiles, for norms and attention look at the whole image.

    The autoencoder takes an image whole where the memory allows.

    Args:
        config: the model's.
        tile: side of every stage's tiles, in pixels of the image.

    Raises:
        UnsupportedError: the tile does not divide into tokens, or is too small or too large.
    """
    patch = config.transformer.patch
    step = CELL * patch // SCALE
    if tile < _LEAST_STEPS * step or tile % step:
        raise UnsupportedError(
            f"expected a tile of at least {_LEAST_STEPS * step} pixels that divides by {step}, "
            f"found {tile}"
        )
    side = tile * SCALE // CELL
    check_grid(side // patch, side // patch, config.transformer.position_grid)
    channels, widths = config.vae.latent_channels, config.vae.widths
    coded = {
        "division": Tiles(side=side, overlap=-(-side // _AUTOENCODER_SHARE), whole=True),
        "bytes_per_cell": count_kl_bytes(widths[::-1]),
        "bytes_per_pair": SCORE_BYTES,
        "keep_fp32": True,
    }
    shared = -(-side // (patch * _TRANSFORMER_SHARE)) * patch
    return Chain(
        scale=SCALE,
        fields=(
            Field(name=IMAGE, channels=3, pixels_per_cell=SCALE),
            Field(name="latents", channels=channels, pixels_per_cell=CELL),
            Field(name="restored", channels=channels, pixels_per_cell=CELL),
            Field(name=RESULT, channels=3, pixels_per_cell=1),
        ),
        stages=(
            Stage(name=ENCODER, reads=IMAGE, gives="latents", **coded),
            Stage(
                name=TRANSFORMER,
                reads="latents",
                gives="restored",
                division=Tiles(side=side, overlap=shared),
                align=patch,
                bytes_per_cell=_transformer_bytes(config, side**2),
                restores=True,
            ),
            Stage(name=DECODER, reads="restored", gives=RESULT, **coded),
        ),
    )


def _transformer_bytes(config: TsdSrConfig, cells: int) -> int:
    """Return the bytes that the transformer holds for each latent cell: scores of both streams."""
    tokens = cells // config.transformer.patch**2 + config.prompt_tokens
    return -(-_FLOAT * _SCORES * config.transformer.heads * tokens**2 // cells)
