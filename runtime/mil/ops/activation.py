"""Activations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..table import op

__all__ = ["elu", "gelu", "leaky_relu", "prelu", "sigmoid", "silu", "softmax", "softplus"]


@op("relu", narrow=True)
def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return F.relu(x)


@op("relu6", narrow=True)
def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6)."""
    return F.relu6(x)


@op("clamped_relu")
def clamped_relu(x: Tensor, alpha: float, beta: float) -> Tensor:
    """min(beta, x) where x ≥ 0, min(beta, alpha·x) elsewhere."""
    return torch.clamp(torch.where(x >= 0, x, alpha * x), max=beta)


@op("thresholded_relu")
def thresholded_relu(x: Tensor, alpha: float) -> Tensor:
    """Keep x where it is at least alpha; 0 elsewhere."""
    return torch.where(x >= alpha, x, torch.zeros_like(x))


@op("leaky_relu")
def leaky_relu(x: Tensor, alpha: float) -> Tensor:
    """Keep x where x ≥ 0; alpha·x elsewhere."""
    return F.leaky_relu(x, alpha)


@op("prelu")
def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    """Leaky ReLU with a slope for each channel, which is axis 1."""
    return F.prelu(x, alpha.to(x.dtype))


@op("elu")
def elu(x: Tensor, alpha: float) -> Tensor:
    """Keep x where x ≥ 0; alpha·(eˣ − 1) elsewhere."""
    return F.elu(x, alpha)


@op("gelu")
def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """x·Φ(x), exactly or by tanh or sigmoid."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


@op("sigmoid")
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ)."""
    return torch.sigmoid(x)


@op("sigmoid_hard")
def sigmoid_hard(x: Tensor, alpha: float, beta: float) -> Tensor:
    """min(max(alpha·x + beta, 0), 1)."""
    return torch.clamp(alpha * x + beta, 0, 1)


@op("silu")
def silu(x: Tensor) -> Tensor:
    """Give x / (1 + e⁻ˣ)."""
    return F.silu(x)


@op("softplus")
def softplus(x: Tensor) -> Tensor:
    """ln(1 + eˣ)."""
    return torch.logaddexp(x, torch.zeros_like(x))


@op("softplus_parametric")
def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """alpha·ln(1 + e^(beta·x)), with alpha and beta for each channel, which is axis 1."""
    sides = (1, -1, *(1 for _ in x.shape[2:]))
    return alpha.reshape(sides) * softplus(beta.reshape(sides) * x)


@op("softsign")
def softsign(x: Tensor) -> Tensor:
    """Give x / (1 + |x|)."""
    return F.softsign(x)


@op("linear_activation")
def linear_activation(x: Tensor, alpha: float, beta: float) -> Tensor:
    """alpha·x + beta."""
    return alpha * x + beta


@op("scaled_tanh")
def scaled_tanh(x: Tensor, alpha: float, beta: float) -> Tensor:
    """alpha·tanh(beta·x)."""
    return alpha * torch.tanh(beta * x)


@op("softmax")
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """eˣ / Σeˣ along an axis, in fp32 throughout."""
    return torch.softmax(x, axis)
