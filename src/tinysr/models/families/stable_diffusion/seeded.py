"""Seeded weights of PiSA-SR and OSEDiff at any config."""

from __future__ import annotations

import math

import torch

from tinysr.models.families.stable_diffusion.config import StableDiffusionConfig
from tinysr.models.families.stable_diffusion.model import StableDiffusionSr
from tinysr.models.layers.seeding import AFTER_SILU, seed_layers

__all__ = ["SEED", "seed_stable_diffusion"]

SEED = 81

_IMAGE = 2.0
"""Gain of the first convolution: images in [-1, 1] have half the size of a unit normal."""

_CHANGE = 0.3
"""Deviation of what the step adds to latents of about one."""

_CONTRAST = 0.5
"""Deviation of the result in [-1, 1], around mid-grey."""


def seed_stable_diffusion(config: StableDiffusionConfig, seed: int = SEED) -> StableDiffusionSr:
    """Return a model in eval mode, every tensor allocated and filled once."""
    with torch.device("meta"):
        model = StableDiffusionSr(config)
    model = model.to_empty(device="cpu").requires_grad_(False).eval()
    step = model.unet.step
    generator = torch.Generator().manual_seed(seed)
    gains = {
        "encoder.conv_in": _IMAGE,
        "encoder.conv_out": AFTER_SILU,
        # Latents are the means times the factor, and of about the size that the step leaves.
        "encoder.quant_conv": 1 / (config.scaling_factor * abs(step.latents)),
        "unet.net.conv_out": _CHANGE * AFTER_SILU / abs(step.prediction),
        "decoder.post_quant_conv": config.scaling_factor,
        "decoder.conv_out": _CONTRAST * AFTER_SILU,
    }
    seed_layers(model, generator, gains)
    model.unet.prompt.uniform_(-math.sqrt(3), math.sqrt(3), generator=generator)
    return model
