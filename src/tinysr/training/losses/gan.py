"""The GAN's second player: discriminators with spectral normalisation, and hinge losses.

The paper names no discriminator. This is the usual choice for restoration: every output judges a
patch, and spectral normalisation keeps the judge smooth (Isola et al. 2017, Miyato et al. 2018).
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

__all__ = ["PatchCritic", "UNetCritic", "critic_hinge", "fool"]

_LEAK = 0.2
_ITERATIONS = 10


class _SpectralNorm(nn.Module):
    """A weight over its largest singular value, by power iterations from a fixed start.

    PyTorch's own goes on from its last call. Then a step would depend on how many parts its batch
    came in, and a run on how many processes share it.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.start: Tensor
        self.register_buffer("start", F.normalize(torch.randn(weight.shape[0]), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight, scaled."""
        matrix = weight.flatten(1)
        with torch.autocast(weight.device.type, enabled=False):
            with torch.no_grad():
                left = self.start
                for _ in range(_ITERATIONS):
                    right = F.normalize(matrix.T @ left, dim=0)
                    left = F.normalize(matrix @ right, dim=0)
            return weight / (left @ matrix @ right)


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
            self.layers = nn.ModuleList((*downs, *last))
            for conv in (*downs, *last):
                register_parametrization(conv, "weight", _SpectralNorm(conv.weight))

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
    good, bad = critic(torch.cat([real, fake.to(real.dtype)])).float().chunk(2)
    return F.relu(1 - good).mean() + F.relu(1 + bad).mean()


class UNetCritic(nn.Module):
    """Images in [0, 1] → a verdict per pixel, from a U-Net (Real-ESRGAN, section 3.2).

    Its skips let it judge textures at every place, where a patch's one verdict averages them.
    """

    def __init__(self, width: int = 32, seed: int = 80) -> None:
        """Start from ``seed``, whatever else has drawn random numbers."""
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            sizes = (width, 2 * width, 4 * width, 8 * width)
            self.first = nn.Conv2d(3, width, 3, 1, 1)
            self.downs = nn.ModuleList(
                nn.Conv2d(i, o, 4, 2, 1, bias=False) for i, o in pairwise(sizes)
            )
            self.ups = nn.ModuleList(
                nn.Conv2d(i, o, 3, 1, 1, bias=False) for o, i in reversed(list(pairwise(sizes)))
            )
            self.heads = nn.ModuleList(
                nn.Conv2d(width, width, 3, 1, 1, bias=False) for _ in range(2)
            )
            self.last = nn.Conv2d(width, 1, 3, 1, 1)
            for conv in (*self.downs, *self.ups, *self.heads):
                register_parametrization(conv, "weight", _SpectralNorm(conv.weight))

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]``, sides that divide by 8, to ``[N, 1, H, W]``."""
        x = F.leaky_relu(self.first(image * 2 - 1), _LEAK)
        passed = []
        for down in self.downs:
            passed.append(x)
            x = F.leaky_relu(down(x), _LEAK)
        for up in self.ups:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = F.leaky_relu(up(x), _LEAK) + passed.pop()
        for head in self.heads:
            x = F.leaky_relu(head(x), _LEAK)
        verdict: Tensor = self.last(x)
        return verdict
