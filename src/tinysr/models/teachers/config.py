"""Configurations of teachers: models that students learn from, and that are never exported."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinysr.models.config import TransformerConfig
from tinysr.models.text_stream import TEXT_CHANNELS, TEXT_TOKENS

__all__ = ["KlConfig", "TsdSrConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class KlConfig:
    """Stable Diffusion's autoencoder, diffusers' ``AutoencoderKL``; the defaults are SD3's."""

    widths: tuple[int, ...] = (128, 256, 512, 512)
    """Channels at 1/1, 1/2, 1/4 and 1/8 of the image side."""
    blocks: int = 2
    """Residual blocks of each level of the encoder; the decoder has one more."""
    latent_channels: int = 16
    groups: int = 32
    """Groups of every GroupNorm."""
    scaling_factor: float = 1.5305
    """Multiplies the encoder's latents, divides them again before the decoder."""


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
