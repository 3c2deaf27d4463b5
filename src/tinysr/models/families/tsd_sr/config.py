"""Configurations of teachers: models that students learn from, and that are never exported."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinysr.models.layers.autoencoder_kl import KlConfig
from tinysr.models.layers.sd3 import TransformerConfig
from tinysr.models.layers.sd3_text import TEXT_CHANNELS, TEXT_TOKENS

__all__ = ["KlConfig", "TsdSrConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TsdSrConfig:
    """TSD-SR (CVPR 2025): SD3-medium, both streams, run once."""

    vae: KlConfig = field(default_factory=KlConfig)
    transformer: TransformerConfig = field(default_factory=lambda: TransformerConfig(depth=24))
    """Configuration of the image stream; the text stream's follows from it."""
    prompt_tokens: int = TEXT_TOKENS
    prompt_channels: int = TEXT_CHANNELS
    timestep: float = 1000.0
    """The one step's time; sigma is 1 there, so that z_HR = z_LR - v."""
