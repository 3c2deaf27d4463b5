"""Distances of pixels and of latents."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["excess_error", "log_squared_error", "smooth_l1", "squared_error"]

_KNEE = 0.002
"""Distance below which the loss turns quadratic: under half a step of 8 bits."""

_ROUNDING = (1 / 255) ** 2 / 12
"""Mean square of what rounding to 8 bits adds to any image: better than that is not needed."""


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


def squared_error(found: Tensor, expected: Tensor) -> Tensor:
    """Return the mean squared distance of two tensors of one shape: the paper's L2."""
    return F.mse_loss(found.float(), expected.float())


def log_squared_error(image: Tensor, truth: Tensor) -> Tensor:
    """Return the mean, over images ``[N, 3, H, W]``, of the log of their mean squared distance.

    It is the mean PSNR but for a factor (HINet's loss, Chen et al. 2021): a smooth image's small
    errors count as much as a rough one's large ones.
    """
    return _log_distances(image, truth).mean()


def excess_error(image: Tensor, other: Tensor, truth: Tensor) -> Tensor:
    """Return by how much images ``[N, 3, H, W]`` are further from the truth than others are.

    It is the mean of the differences of the logs of their L2, those under 0 taken as 0: an image
    that is better than the other is free, and half a decibel costs as much of a smooth image as of
    a rough one.
    """
    return F.relu(_log_distances(image, truth) - _log_distances(other, truth)).mean()


def _log_distances(image: Tensor, truth: Tensor) -> Tensor:
    distances = (image.float() - truth).square().mean((1, 2, 3))
    return (distances + _ROUNDING).log()


def _smooth_abs(x: Tensor) -> Tensor:
    return F.huber_loss(x, x.new_zeros(()).expand_as(x), reduction="none", delta=_KNEE) / _KNEE
