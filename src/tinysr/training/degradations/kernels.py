"""Blur kernels: Gaussian, generalized Gaussian, plateau-shaped and sinc.

The first three are functions of the Mahalanobis distance d² = xᵀ Σ⁻¹ x; each kernel sums to 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["KERNEL_SIDE", "gaussian", "generalized", "identity", "plateau", "sinc"]

KERNEL_SIDE = 21
"""Side that every kernel is padded to."""


def _grid(side: int) -> tuple[Tensor, Tensor]:
    """Return the y and x of a kernel's pixels, in pixels from its centre."""
    line = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    return line[:, None].expand(side, side), line[None].expand(side, side)


def _distance(side: int, sigma: tuple[float, float], angle: float) -> Tensor:
    """Return d² ``[side, side]`` for deviations along and across ``angle`` (radians)."""
    y, x = _grid(side)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = -x * math.sin(angle) + y * math.cos(angle)
    return (along / sigma[0]) ** 2 + (across / sigma[1]) ** 2


def _finish(kernel: Tensor) -> Tensor:
    """Scale to a sum of 1 and pad to the common side."""
    margin = (KERNEL_SIDE - kernel.shape[0]) // 2
    return torch.nn.functional.pad(kernel / kernel.sum(), [margin] * 4).float()


def gaussian(side: int, sigma: tuple[float, float], angle: float = 0.0) -> Tensor:
    """Return exp(-d²/2)."""
    return _finish(torch.exp(-_distance(side, sigma, angle) / 2))


def generalized(side: int, sigma: tuple[float, float], angle: float, beta: float) -> Tensor:
    """Return exp(-(d²)^beta / 2)."""
    return _finish(torch.exp(-(_distance(side, sigma, angle) ** beta) / 2))


def plateau(side: int, sigma: tuple[float, float], angle: float, beta: float) -> Tensor:
    """Return 1 / (1 + (d²)^beta)."""
    return _finish(1 / (1 + _distance(side, sigma, angle) ** beta))


def sinc(side: int, cutoff: float) -> Tensor:
    """Return the ideal circular low-pass filter, cut to ``side``: it rings, as sharpening does.

    Args:
        side: odd, in pixels.
        cutoff: in radians per pixel, up to π.
    """
    y, x = _grid(side)
    radius = torch.hypot(y, x)
    centre = (side - 1) // 2
    radius[centre, centre] = 1
    kernel = cutoff * torch.special.bessel_j1(cutoff * radius) / (2 * math.pi * radius)
    kernel[centre, centre] = cutoff**2 / (4 * math.pi)
    return _finish(kernel)


def identity() -> Tensor:
    """Return the kernel that changes nothing."""
    kernel = torch.zeros(KERNEL_SIDE, KERNEL_SIDE)
    kernel[KERNEL_SIDE // 2, KERNEL_SIDE // 2] = 1
    return kernel
