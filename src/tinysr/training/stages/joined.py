"""One model of two: the transformer of one, the autoencoder of another."""

from __future__ import annotations

import torch

from tinysr.errors import UnsupportedError
from tinysr.models import ModelConfig, OneStep, TinySR

__all__ = ["with_autoencoder"]


def with_autoencoder(model: OneStep, other: TinySR) -> TinySR:
    """Return ``model``'s image stream with the encoder and decoder of another.

    Raises:
        UnsupportedError: their latents have other channels.
    """
    transformer = model.config.transformer
    if other.config.vae.latent_channels != transformer.latent_channels:
        raise UnsupportedError(
            f"the input 'vae' has {other.config.vae.latent_channels} latent channels, expected "
            f"{transformer.latent_channels}"
        )
    config = ModelConfig(
        vae=other.config.vae, transformer=transformer, timestep=model.config.timestep
    )
    with torch.device("meta"):
        joined = TinySR(config)
    joined.encoder, joined.decoder = other.encoder, other.decoder
    joined.transformer, joined.pooled = model.transformer, model.pooled
    return joined.requires_grad_(False).eval()
