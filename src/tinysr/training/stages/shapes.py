"""Shapes of a recipe's models, as a table of a config."""

from __future__ import annotations

from pydantic import Field

from tinysr.models import ModelConfig, TransformerConfig, VaeConfig
from tinysr.records import StrictRecord

__all__ = ["Autoencoder", "ModelShape"]


class Autoencoder(StrictRecord):
    """A tiny autoencoder: TAESD's layout, no attention."""

    width: int = Field(ge=1)
    """Channels of every inner feature map."""
    separable_encoder: bool
    encoder_blocks: tuple[int, ...] = VaeConfig().encoder_blocks
    decoder_blocks: tuple[int, ...] = VaeConfig().decoder_blocks

    def vae(self, latent_channels: int = VaeConfig().latent_channels) -> VaeConfig:
        """Return its config; its latents are a transformer's as they are, without a scale."""
        return VaeConfig(
            width=self.width,
            separable_encoder=self.separable_encoder,
            encoder_blocks=self.encoder_blocks,
            decoder_blocks=self.decoder_blocks,
            latent_channels=latent_channels,
        )


class ModelShape(Autoencoder):
    """A whole model."""

    depth: int = Field(ge=1)
    """Blocks of the transformer."""
    heads: int = Field(ge=1)
    pooled_size: int = Field(ge=1)

    def config(self) -> ModelConfig:
        """Return the model's config."""
        transformer = TransformerConfig(
            depth=self.depth, heads=self.heads, pooled_size=self.pooled_size
        )
        return ModelConfig(vae=self.vae(), transformer=transformer)
