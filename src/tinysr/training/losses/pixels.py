"""Distances of pixels and of latents."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["smooth_l1", "squared"]

_KNEE = 0.002
"""Under half a step of 8 bits the distance turns quadratic."""


def smooth_l1(image: Tensor, truth: Tensor, gradient_weight: float = 0.0) -> Tensor:
    """Return the smooth L1 distance of two ``[N, 3, H, W]``, of pixels and of their differences.

    Args:
        image: in about [0, 1].
        truth: of the same shape.
        gradient_weight: weight of the distance of neighbouring pixels' differences, which keeps
            edges sharp.
    """
    error = image.float() - truth
    distance = _smooth_abs(error).mean()
    if gradient_weight:
        slopes = _smooth_abs(error.diff(dim=2)).mean() + _smooth_abs(error.diff(dim=3)).mean()
        distance = distance + gradient_weight * slopes
    return distance


def squared(found: Tensor, expected: Tensor) -> Tensor:
    """Return the mean squared distance of two tensors of one shape: the paper's L2."""
    return F.mse_loss(found.float(), expected.float())


def _smooth_abs(x: Tensor) -> Tensor:
    return F.huber_loss(x, x.new_zeros(()).expand_as(x), reduction="none", delta=_KNEE) / _KNEE
