"""Eager SANA-SR: the reference that every other form of it is held against."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.chain import Chain
from tinysr.errors import choice_error
from tinysr.models.families.sana_sr.chain import DECODER, ENCODER, TRANSFORMER, find_chain
from tinysr.models.families.sana_sr.config import SanaSrConfig
from tinysr.models.family import OneStepModel
from tinysr.models.layers.autoencoder_dc import DcDecoder, DcEncoder
from tinysr.models.layers.linear_attention import SanaTransformer

__all__ = ["Latents", "Picture", "Restoration", "SanaSR"]


class Latents(nn.Module):
    """Image → latents, as the transformer takes them."""

    def __init__(self, config: SanaSrConfig) -> None:
        super().__init__()
        self.scale, self.factor = config.scale, config.scaling_factor
        self.net = DcEncoder(config.encoder)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, 8h, 8w]`` in [0, 1] to ``[N, C, h, w]``, for cells of 32 pixels."""
        large = F.interpolate(image, scale_factor=self.scale, mode="bicubic", align_corners=False)
        z: Tensor = self.net(large * 2 - 1)
        return z * self.factor


class Restoration(nn.Module):
    """Latents → restored latents, by one step at a fixed time and with a fixed prompt."""

    def __init__(self, config: SanaSrConfig) -> None:
        super().__init__()
        self.timestep, self.step_size = config.timestep, config.step
        self.net = SanaTransformer(config.transformer)
        prompt = torch.zeros(1, config.tokens, config.transformer.caption)
        self.prompt: Tensor
        """The prompt's embeddings, ``[1, T, caption]``."""
        self.register_buffer("prompt", prompt)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to the same shape."""
        time = z.new_full((len(z),), self.timestep)
        y: Tensor = self.net(z, time, self.prompt.expand(len(z), -1, -1))
        return z + self.step_size * y


class Picture(nn.Module):
    """Restored latents → image."""

    def __init__(self, config: SanaSrConfig) -> None:
        super().__init__()
        self.factor = config.scaling_factor
        self.net = DcDecoder(config.decoder)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, 3, 32h, 32w]``, about [0, 1], unclamped."""
        image: Tensor = self.net(z / self.factor)
        return (image + 1) / 2


class SanaSR(OneStepModel):
    """One-step super-resolution in the deeply compressed latents of Sana (2026)."""

    def __init__(self, config: SanaSrConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Latents(config)
        self.transformer = Restoration(config)
        self.decoder = Picture(config)

    @property
    def facts(self) -> dict[str, Any]:
        """The config as plain JSON-ready data."""
        return self.config.to_dict()

    def chain(self, tile: int) -> Chain:
        """Return all stages for tiles of one size, in pixels of the image.

        Raises:
            UnsupportedError: the tile does not divide into tokens, or is too small.
        """
        return find_chain(self.config, tile)

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        """Map what a stage reads ``[N, C, H, W]`` to what it gives.

        Raises:
            UnsupportedError: there is no such stage.
        """
        if stage not in (ENCODER, TRANSFORMER, DECODER):
            raise choice_error("stage", stage, (ENCODER, TRANSFORMER, DECODER))
        y: Tensor = self.get_submodule(stage)(x)
        return y

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1] to ``[N, 3, 4H, 4W]``, unclamped; sides divide by 8."""
        y: Tensor = self.decoder(self.transformer(self.encoder(image)))
        return y
