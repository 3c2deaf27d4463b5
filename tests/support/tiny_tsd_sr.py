"""A TSD-SR with every part, small enough for a second's work."""

from __future__ import annotations

from tinysr.export.plans.precision import PrecisionPlan
from tinysr.models.families.tsd_sr import KlConfig, TsdSr, TsdSrConfig, seed_tsd_sr
from tinysr.models.layers.sd3 import TransformerConfig

TILE = 32

CONFIG = TsdSrConfig(
    vae=KlConfig(widths=(8, 8, 16, 16), blocks=1, latent_channels=4, groups=4),
    transformer=TransformerConfig(
        depth=3, heads=2, latent_channels=4, pooled_size=16, time_channels=16, position_grid=16
    ),
    prompt_tokens=5,
    prompt_channels=24,
)

PLAN = PrecisionPlan(model_sha256="0" * 64, tile=TILE)
"""Plan that keeps nothing in fp32: all values fit."""


def tiny_tsd_sr(seed: int = 7) -> TsdSr:
    """Return a random model."""
    return seed_tsd_sr(CONFIG, seed)
