"""Norms that are one operation. Their inner steps are in fp32; the result is rounded."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..table import op

__all__ = ["batch_norm", "instance_norm", "l2_norm", "layer_norm", "local_response_norm"]


@op("layer_norm")
def layer_norm(
    x: Tensor,
    axes: list[int] | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """Bring the mean over axes to 0 and the variance to 1; gamma and beta have those axes."""
    order = sorted(a % x.ndim for a in (axes if axes is not None else range(x.ndim)))
    variance, mean = torch.var_mean(x, order, correction=0, keepdim=True)
    y = (x - mean) * torch.rsqrt(variance + epsilon)
    sides = [x.shape[a] if a in order else 1 for a in range(x.ndim)]
    if gamma is not None:
        y = y * gamma.reshape(sides)
    return y if beta is None else y + beta.reshape(sides)


@op("instance_norm")
def instance_norm(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-5
) -> Tensor:
    """Normalise every channel of every image ``[N, C, *D]`` for itself."""
    y = layer_norm(x, list(range(2, x.ndim)), epsilon=epsilon)
    return _per_channel(y, gamma, beta)


@op("batch_norm")
def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """Normalise channels, axis 1, with stored statistics."""
    sides = (1, -1, *(1 for _ in x.shape[2:]))
    y = (x - mean.reshape(sides)) * torch.rsqrt(variance.reshape(sides) + epsilon)
    return _per_channel(y, gamma, beta)


@op("l2_norm")
def l2_norm(x: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Divide by the length over the last three dimensions."""
    return x / torch.sqrt(x.square().sum((-3, -2, -1), keepdim=True) + epsilon)


@op("local_response_norm")
def local_response_norm(
    x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide by a power of the mean square over neighbouring channels."""
    return F.local_response_norm(x, size, alpha, beta, k)


def _per_channel(x: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
    sides = (1, -1, *(1 for _ in x.shape[2:]))
    if gamma is not None:
        x = x * gamma.reshape(sides)
    return x if beta is None else x + beta.reshape(sides)
