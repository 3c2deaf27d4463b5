"""The GAN's second player: a patch discriminator with spectral normalisation, and hinge losses.

The paper names no discriminator. This is the usual choice for restoration: every output judges a
patch, and spectral normalisation keeps the judge smooth (Isola et al. 2017, Miyato et al. 2018).
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["PatchCritic", "critic_hinge", "fool"]

_LEAK = 0.2


class PatchCritic(nn.Module):
    """Images in [0, 1] → a verdict per patch: high for what looks real."""

    def __init__(self, width: int = 32, seed: int = 80) -> None:
        """Start from ``seed``, whatever else has drawn random numbers."""
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            sizes = (3, width, 2 * width, 4 * width)
            downs = [nn.Conv2d(inputs, outputs, 4, 2, 1) for inputs, outputs in pairwise(sizes)]
            last = (nn.Conv2d(sizes[-1], sizes[-1], 3, 1, 1), nn.Conv2d(sizes[-1], 1, 3, 1, 1))
            self.layers = nn.ModuleList(spectral_norm(conv) for conv in (*downs, *last))

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` to ``[N, 1, H/8, W/8]``."""
        x = image * 2 - 1
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), _LEAK)
        verdict: Tensor = self.layers[-1](x)
        return verdict


def fool(verdict: Tensor) -> Tensor:
    """Return what the upscaler minimises: the critic's verdict of its images, negated."""
    return -verdict.float().mean()


def critic_hinge(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Return what the critic minimises: verdicts over 1 for real images, under -1 for others."""
    # One call: a second one would normalise by vectors that the first has moved on.
    good, bad = critic(torch.cat([real, fake.to(real.dtype)])).float().chunk(2)
    return F.relu(1 - good).mean() + F.relu(1 + bad).mean()
