"""The eager TSD-SR: the reference that every other form of it is held against."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tinysr.chain import Chain
from tinysr.errors import choice_error
from tinysr.models.families.tsd_sr.chain import DECODER, ENCODER, TRANSFORMER, find_chain
from tinysr.models.families.tsd_sr.config import TsdSrConfig
from tinysr.models.family import OneStepModel
from tinysr.models.layers.autoencoder_kl import KlDecoder, KlEncoder
from tinysr.models.layers.sd3 import Transformer
from tinysr.models.layers.sd3_text import TextStream
from tinysr.models.one_step import OneStep

__all__ = ["TsdSr"]


class TsdSr(OneStep, OneStepModel):
    """SD3-medium run once at its last time step, with the tokens of one fixed prompt.

    Latents are means, where TSD-SR draws one from the encoder's Gaussian: the mean is what a
    squared distance to such draws is smallest at.
    """

    config: TsdSrConfig

    def __init__(self, config: TsdSrConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = KlEncoder(config.vae)
        self.transformer = Transformer(config.transformer)
        self.text = TextStream(config.transformer, config.prompt_channels)
        self.decoder = KlDecoder(config.vae)
        self.register_buffer("pooled", torch.zeros(1, config.transformer.pooled_size))
        self.prompt: Tensor
        """The embeddings of the prompt's tokens, ``[1, prompt_tokens, prompt_channels]``."""
        prompt = torch.zeros(1, config.prompt_tokens, config.prompt_channels)
        self.register_buffer("prompt", prompt)

    def encode_image(self, image: Tensor) -> Tensor:
        """Map an image ``[N, 3, 8h, 8w]``, clamped to [0, 1], to z ``[N, C, h, w]``."""
        # TSD-SR clamps what the bicubic resize overshoots; TinySR does not.
        z: Tensor = self.encoder((image * 2 - 1).clamp(-1, 1)) * self.config.vae.scaling_factor
        return z

    def predict(self, z: Tensor) -> Tensor:
        """Return the velocity v of latents z, both ``[N, C, h, w]``."""
        count = z.shape[0]
        timestep = torch.full((count,), self.config.timestep, device=z.device)
        pooled, prompt = self.pooled.expand(count, -1), self.prompt.expand(count, -1, -1)
        v: Tensor = self.text(self.transformer, z, timestep, pooled, prompt)
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
        """Return the three stages for tiles of one size, in pixels of the image.

        Raises:
            UnsupportedError: the tile does not divide into tokens, or is too small.
        """
        return find_chain(self.config, tile)

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        """Map what a stage reads ``[N, C, H, W]`` to what it gives.

        Raises:
            UnsupportedError: there is no such stage.
        """
        runs = {ENCODER: self.encode, TRANSFORMER: self.restore, DECODER: self.decode}
        if stage not in runs:
            raise choice_error("stage", stage, runs)
        return runs[stage](x)

    def stage_modules(self, stage: str) -> nn.Module:
        """Return the modules that a stage runs: the transformer runs both streams."""
        own = super().stage_modules(stage)
        return nn.ModuleList([own, self.text]) if stage == TRANSFORMER else own
