"""SANA-SR as a chain of stages: how an image is divided, and the memory that a run holds."""

from __future__ import annotations

from tinysr.chain import Chain
from tinysr.errors import UnsupportedError
from tinysr.models.families.sana_sr.config import SanaSrConfig
from tinysr.models.layers.autoencoder_dc import EXPANSION, DcConfig
from tinysr.stages import IMAGE, RESULT, Field, Stage, Tiles

__all__ = ["DECODER", "ENCODER", "TRANSFORMER", "find_chain"]

ENCODER, TRANSFORMER, DECODER = "encoder", "transformer", "decoder"
"""Names of the stages, which are the model's submodules too."""

_FLOAT = 4

_MAPS = 4
"""Feature maps in memory at once: a block's input, which the skip needs, and around a convolution
what it reads, what it writes, and a copy in its kernel's own layout."""

_LEAST_CELLS = 2
"""Latents along a tile's side at least."""

_OVERLAP_SHARE = 4
"""Tiles share at least this part of their side. Attention looks at the whole of each, so that
neighbours differ by more than what they see of each other."""


def find_chain(config: SanaSrConfig, tile: int) -> Chain:
    """Return SANA-SR's stages: blended tiles, for attention looks at the whole image.

    Args:
        config: the model's.
        tile: side of all stages' tiles, in pixels of the image.

    Raises:
        UnsupportedError: the tile does not divide into tokens, or is too small.
    """
    cell, patch = config.cell, config.transformer.patch
    step = cell * patch // config.scale
    least = _LEAST_CELLS * step
    if tile < least or tile % step:
        raise UnsupportedError(
            f"expected a tile of at least {least} pixels that divides by {step}, found {tile}"
        )
    side = tile * config.scale // cell
    tiles = Tiles(side=side, overlap=-(-side // (_OVERLAP_SHARE * patch)) * patch)
    latents = {"channels": config.transformer.channels, "pixels_per_cell": cell}
    # Stages of tiles give the same sizes for their tiles, whose sides are a patch's multiples.
    shared = {"division": tiles, "align": patch}
    return Chain(
        scale=config.scale,
        fields=(
            Field(name=IMAGE, channels=3, pixels_per_cell=config.scale),
            Field(name="latents", **latents),
            Field(name="restored", **latents),
            Field(name=RESULT, channels=3, pixels_per_cell=1),
        ),
        stages=(
            Stage(
                name=ENCODER,
                reads=IMAGE,
                gives="latents",
                bytes_per_cell=_half_bytes(config.encoder),
                keep_fp32=True,
                **shared,
            ),
            Stage(
                name=TRANSFORMER,
                reads="latents",
                gives="restored",
                bytes_per_cell=_transformer_bytes(config),
                restores=True,
                **shared,
            ),
            Stage(
                name=DECODER,
                reads="restored",
                gives=RESULT,
                bytes_per_cell=_half_bytes(config.decoder),
                keep_fp32=True,
                **shared,
            ),
        ),
    )


def _half_bytes(half: DcConfig) -> int:
    """Return the bytes that a run of one half holds for each cell of the latents.

    The most is held on some level: around a block's convolutions, or inside gated ones.
    """
    last = len(half.widths) - 1
    areas = (int(4 ** (last - level)) for level in range(last + 1))
    inner = (
        width * (2 * EXPANSION if level >= half.attended else 1)
        for level, width in enumerate(half.widths)
    )
    return _FLOAT * _MAPS * max(a * channels for a, channels in zip(areas, inner, strict=True))


def _transformer_bytes(config: SanaSrConfig) -> int:
    """Return the bytes that a run of the transformer holds for each cell of the latents.

    The most is held inside gated convolutions, or by the scores of attention to the prompt.
    """
    part = config.transformer
    scores = 2 * max(part.cross_heads) * config.tokens
    return -(-_FLOAT * max(_MAPS * 2 * max(part.hidden), scores) // part.patch**2)
