"""A PiSA-SR, OSEDiff or TOC-SR with every part, small enough for a second's work."""

from __future__ import annotations

from typing import Any

from tinysr.models.families.stable_diffusion import (
    PRESETS,
    TOC_SR,
    StableDiffusionConfig,
    StableDiffusionSr,
    seed_stable_diffusion,
)

FAMILIES = tuple(PRESETS)

SIDE = 32
"""Side of the models' tiles, in pixels of the image."""


def tiny_config(family: str) -> StableDiffusionConfig:
    """Return a small config of a family: two levels in the UNet, three in the autoencoder."""
    own: dict[str, Any] = {"widths": (16, 24)}
    if family == TOC_SR:
        own = {
            "widths": (16, 24, 32, 32),
            "down": ((True,), (True, False), (False,), (True,)),
            "up": ((False, True), (True, True, False), (False, False), (True, False)),
            "middle": 0,
            "latent_channels": 8,
            "factors": (0.9, -0.5),
        }
    return StableDiffusionConfig(
        **own,
        family=family,
        timestep=PRESETS[family].timestep,
        head_size=8,
        groups=8,
        blocks=1,
        tokens=5,
        text=12,
        vae_widths=(16, 16, 16),
        vae_blocks=1,
        vae_groups=4,
    )


def tiny_stable_diffusion(family: str, seed: int = 7) -> StableDiffusionSr:
    """Return a random model of a family."""
    return seed_stable_diffusion(tiny_config(family), seed)
