"""The eager reference model: every other form of TinySR is held against this one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tinysr.chain import Chain
from tinysr.models.families.tinysr.chain import find_chain
from tinysr.models.families.tinysr.config import ModelConfig
from tinysr.models.family import OneStepModel
from tinysr.models.layers.autoencoder_tiny import Decoder, Encoder
from tinysr.models.layers.sd3 import Transformer
from tinysr.models.one_step import OneStep

__all__ = ["TinySR"]


class TinySR(OneStep, OneStepModel):
    """One-step super-resolution, as trained (paper section 3).

    Its three stages encode the image, restore its latents and decode them; calling it runs all of
    them. Latents z carry the VAE's scaling factor.
    """

    config: ModelConfig

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.vae)
        self.transformer = Transformer(config.transformer)
        self.decoder = Decoder(config.vae)
        self.register_buffer("pooled", torch.zeros(1, config.transformer.pooled_size))

    def encode_image(self, image: Tensor) -> Tensor:
        """Map an image ``[N, 3, 8h, 8w]`` in about [0, 1] to z ``[N, C, h, w]``."""
        z: Tensor = self.encoder(image * 2 - 1) * self.config.vae.scaling_factor
        return z

    def predict(self, z: Tensor) -> Tensor:
        """Return the velocity v of latents z, both ``[N, C, h, w]``."""
        timestep = torch.full((z.shape[0],), self.config.timestep, device=z.device)
        v: Tensor = self.transformer(z, timestep, self.pooled.expand(z.shape[0], -1))
        return v

    def decode(self, z: Tensor) -> Tensor:
        """Map z ``[N, C, h, w]`` to an image ``[N, 3, 8h, 8w]``, about [0, 1], unclamped."""
        image: Tensor = self.decoder(z / self.config.vae.scaling_factor)
        return (image + 1) / 2

    @property
    def facts(self) -> dict[str, Any]:
        """The config as plain JSON-ready data."""
        return self.config.to_dict()

    def chain(self, tile: int) -> Chain:
        """Return the three stages for tiles of one size.

        Raises:
            UnsupportedError: the tile does not divide into tokens.
        """
        return find_chain(self.config, self.encoder, self.decoder, tile)

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        """Map what a stage reads ``[N, C, H, W]`` to what it gives."""
        if stage == "encoder":
            return self.encode(x)
        return self.restore(x) if stage == "transformer" else self.decode(x)
