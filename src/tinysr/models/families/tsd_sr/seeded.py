"""Seeded weights of TSD-SR at any config."""

from __future__ import annotations

import torch

from tinysr.models.families.tsd_sr.config import TsdSrConfig
from tinysr.models.families.tsd_sr.model import TsdSr
from tinysr.models.layers.seeding import AFTER_SILU, draw_normal, seed_layers
from tinysr.models.layers.tokens import sincos_positions

__all__ = ["SEED", "seed_tsd_sr"]

SEED = 80

_IMAGE = 2.0
"""Gain of the first convolution: images in [-1, 1] have half the size of a unit normal."""

_VELOCITY = 0.4
"""Gain of the last linear: v stays well under z, so that the input stays visible."""

_CONTRAST = 0.5
"""Deviation of the result in [-1, 1], around mid-grey."""


def seed_tsd_sr(config: TsdSrConfig, seed: int = SEED) -> TsdSr:
    """Return a model in eval mode, every tensor allocated and filled once."""
    with torch.device("meta"):
        model = TsdSr(config)
    model = model.to_empty(device="cpu").requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(seed)
    gains = {
        "encoder.conv_in": _IMAGE,
        "encoder.conv_out": AFTER_SILU / config.vae.scaling_factor,
        "transformer.proj_out": _VELOCITY,
        "decoder.conv_out": _CONTRAST * AFTER_SILU,
    }
    seed_layers(model, generator, gains)
    for given in (model.pooled, model.prompt):
        given.copy_(draw_normal(given.numel(), generator).reshape(given.shape))
    size = config.transformer
    model.transformer.pos_embed.pos_embed.copy_(sincos_positions(size.dim, size.position_grid))
    return model
