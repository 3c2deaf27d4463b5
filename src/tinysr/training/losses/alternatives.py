"""Stand-ins for LPIPS where nobody has a feature network: chosen by name, never silently."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["HaarDistance", "MultiScaleGradient"]

_LEVELS = 4


class MultiScaleGradient(nn.Module):
    """L1 of the differences of neighbouring pixels, at 1/1, 1/2, 1/4 and 1/8 of the size."""

    kind = "multi-scale gradient, no LPIPS"

    def forward(self, image: Tensor, truth: Tensor) -> Tensor:
        """Return the mean distance of ``[N, 3, H, W]`` in [0, 1] from ``truth``."""
        image, truth = image.float(), truth.float()
        total = image.new_zeros(())
        for level in range(_LEVELS):
            if level:
                image, truth = F.avg_pool2d(image, 2), F.avg_pool2d(truth, 2)
            error = image - truth
            total = total + error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        return total / _LEVELS


class HaarDistance(nn.Module):
    """L1 of the Haar wavelet's detail bands, four levels deep, each level weighted alike."""

    kind = "Haar wavelet, no LPIPS"

    def forward(self, image: Tensor, truth: Tensor) -> Tensor:
        """Return the mean distance of ``[N, 3, H, W]`` in [0, 1] from ``truth``."""
        rest = image.float() - truth.float()  # the transform is linear
        total = rest.new_zeros(())
        for _ in range(_LEVELS):
            rest, details = haar(rest)
            total = total + details.abs().mean()
        return total / _LEVELS


def haar(x: Tensor) -> tuple[Tensor, Tensor]:
    """Split ``[N, C, H, W]`` into its average ``[N, C, H/2, W/2]`` and the three detail bands."""
    a, b, c, d = (x[..., row::2, column::2] for row in (0, 1) for column in (0, 1))
    details = torch.cat([a - b + c - d, a + b - c - d, a - b - c + d], dim=1) / 2
    return (a + b + c + d) / 4, details
