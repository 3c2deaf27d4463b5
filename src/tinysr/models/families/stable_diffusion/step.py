"""The one step of each family: latents and what the UNet gives → restored latents."""

from __future__ import annotations

import math

from torch import Tensor, nn

from tinysr.models.families.stable_diffusion.config import OSEDIFF, StableDiffusionConfig

__all__ = ["Step", "find_factors"]

_STEPS = 1000
_FIRST_BETA = 0.00085
_LAST_BETA = 0.012
"""Stable Diffusion's schedule: so many steps, whose √β grows evenly from the first to the last."""


class Step(nn.Module):
    """z' = a·z - b·p."""

    def __init__(self, config: StableDiffusionConfig) -> None:
        super().__init__()
        self.latents, self.prediction = find_factors(config)

    def forward(self, z: Tensor, predicted: Tensor) -> Tensor:
        """Map two ``[N, C, h, w]`` to restored latents."""
        return self.latents * z - self.prediction * predicted


def find_factors(config: StableDiffusionConfig) -> tuple[float, float]:
    """Return a and b.

    PiSA-SR (section 3) learns the residual itself: both are 1. OSEDiff (section 3.2) takes the
    image's latents for z_t = √ᾱ·z_0 + √(1-ᾱ)·ε, and solves that for z_0.
    """
    if config.family != OSEDIFF:
        return config.factors or (1.0, 1.0)
    kept = _find_kept(config.timestep)
    return 1 / math.sqrt(kept), math.sqrt((1 - kept) / kept)


def _find_kept(time: int) -> float:
    """Return ᾱ, the share of the latents' variance that is left of them at a time."""
    first, last = math.sqrt(_FIRST_BETA), math.sqrt(_LAST_BETA)
    return math.prod(
        1 - (first + (last - first) * step / (_STEPS - 1)) ** 2 for step in range(time + 1)
    )
