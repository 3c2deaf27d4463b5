"""The eager PiSA-SR and OSEDiff: the references that every other form of them is held against."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tinysr.chain import Chain
from tinysr.enlarging import enlarge
from tinysr.errors import choice_error
from tinysr.models.families.stable_diffusion.chain import STAGES, find_chain
from tinysr.models.families.stable_diffusion.config import StableDiffusionConfig
from tinysr.models.families.stable_diffusion.step import Step
from tinysr.models.family import OneStepModel
from tinysr.models.layers.autoencoder_kl import KlDecoder, KlEncoder
from tinysr.models.layers.unet2d import Unet2d

__all__ = ["Decoder", "Encoder", "Restorer", "StableDiffusionSr"]


class Encoder(KlEncoder):
    """Image → latents, as the UNet takes them: the mean, where the authors draw a sample."""

    def __init__(self, config: StableDiffusionConfig) -> None:
        super().__init__(config.kl)
        self.scaling_factor = config.scaling_factor
        moments = 2 * config.latent_channels
        self.quant_conv = nn.Conv2d(moments, moments, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1], enlarged before, to ``[N, C, H/8, W/8]``."""
        mean = self.quant_conv(self.find_moments(image * 2 - 1)).chunk(2, dim=1)[0]
        z: Tensor = mean * self.scaling_factor
        return z


class Restorer(nn.Module):
    """Latents → restored latents, at one time and for one prompt."""

    def __init__(self, config: StableDiffusionConfig) -> None:
        super().__init__()
        self.timestep = config.timestep
        self.net = Unet2d(config.unet)
        self.step = Step(config)
        self.prompt: Tensor
        """Embeddings of the prompt's tokens, ``[1, tokens, text]``."""
        self.register_buffer("prompt", torch.zeros(1, config.tokens, config.text))

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to the same shape; sides divide by 8."""
        time = torch.full((len(z),), float(self.timestep), device=z.device)
        restored: Tensor = self.step(z, self.net(z, time, self.prompt.expand(len(z), -1, -1)))
        return restored


class Decoder(KlDecoder):
    """Latents → image."""

    def __init__(self, config: StableDiffusionConfig) -> None:
        super().__init__(config.kl)
        self.scaling_factor = config.scaling_factor
        self.post_quant_conv = nn.Conv2d(config.latent_channels, config.latent_channels, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, 3, 8h, 8w]``, about [0, 1], unclamped."""
        return (super().forward(self.post_quant_conv(z / self.scaling_factor)) + 1) / 2


class StableDiffusionSr(OneStepModel):
    """One-step super-resolution by Stable Diffusion 2.1, with a LoRA merged.

    PiSA-SR (CVPR 2025) and OSEDiff (NeurIPS 2024): an autoencoder around a UNet that runs once.
    The authors enlarge the image with Pillow, in 8 bits, and match its colours afterwards.
    """

    def __init__(self, config: StableDiffusionConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.unet = Restorer(config)
        self.decoder = Decoder(config)

    @property
    def facts(self) -> dict[str, Any]:
        """The config as plain JSON-ready data."""
        return self.config.to_dict()

    def chain(self, tile: int) -> Chain:
        """Return the three stages for tiles of one size, in pixels of the image.

        Raises:
            UnsupportedError: the tile does not divide into cells, or is too small.
        """
        return find_chain(self.config, tile)

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        """Map what a stage reads ``[N, C, H, W]`` to what it gives; images are enlarged before.

        Raises:
            UnsupportedError: there is no such stage.
        """
        if stage not in STAGES:
            raise choice_error("stage", stage, STAGES)
        y: Tensor = self.get_submodule(stage)(x)
        return y

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1] to ``[N, 3, 4H, 4W]``, unclamped; sides divide by 16."""
        larger = torch.from_numpy(enlarge(image.float().cpu().numpy(), self.config.scale))
        x = larger.to(image)
        for stage in STAGES:
            x = self.run_stage(stage, x)
        return x
