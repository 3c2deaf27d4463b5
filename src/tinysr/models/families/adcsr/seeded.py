"""Seeded weights of AdcSR at any config."""

from __future__ import annotations

import torch

from tinysr.models.families.adcsr.config import AdcSrConfig
from tinysr.models.families.adcsr.model import AdcSR
from tinysr.models.layers.seeding import AFTER_SILU, seed_layers

__all__ = ["SEED", "seed_adcsr"]

SEED = 80

_IMAGE = 2.0
"""Gain of the first convolution: images in [-1, 1] have half the size of a unit normal."""

_CONTRAST = 0.5
"""Deviation of the result in [-1, 1], around mid-grey."""


def seed_adcsr(config: AdcSrConfig, seed: int = SEED) -> AdcSR:
    """Return a model in eval mode, every tensor allocated and filled once."""
    with torch.device("meta"):
        model = AdcSR(config)
    model = model.to_empty(device="cpu").requires_grad_(False).eval()
    gains = {
        "unet.net.conv_in": _IMAGE,
        "unet.net.conv_out": AFTER_SILU,
        "decoder.conv_out": _CONTRAST * AFTER_SILU,
    }
    seed_layers(model, torch.Generator().manual_seed(seed), gains)
    return model
