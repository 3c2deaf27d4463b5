"""Activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Call, Move, Node, Operator, to_tensor

__all__ = ["OPERATORS", "Activation", "PRelu", "Relu", "Softmax"]


class Relu(Move):
    """ReLU, which keeps a value or drops it, in any type."""

    def forward(self, x: Tensor) -> Tensor:
        """Map values below zero to zero."""
        return F.relu(x)


class Activation(Node):
    """A function of one value."""

    def __init__(self, function: Callable[..., Tensor], **options: Any) -> None:
        super().__init__()
        self.function, self.options = function, options

    def forward(self, x: Tensor) -> Tensor:
        """Map each value by itself."""
        return self.function(self.cast_input(x), **self.options)


class PRelu(Node):
    """Leaky ReLU with learned slopes."""

    def __init__(self, slopes: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(slopes, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, ...]`` to the same shape, with one slope or one for each channel."""
        return F.prelu(self.cast_input(x), self.cast_input(self.weight))


class Softmax(Node):
    """Softmax along an axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Map values to shares along the axis."""
        return torch.softmax(self.cast_input(x), self.axis)


def _scale_sigmoid(x: Tensor, *, alpha: float) -> Tensor:
    return x * torch.sigmoid(alpha * x)


def _harden_sigmoid(x: Tensor, *, alpha: float, beta: float) -> Tensor:
    return torch.clamp(alpha * x + beta, 0.0, 1.0)


def _make_gelu(call: Call) -> nn.Module:
    kind = call.attributes.get("approximate", "none")
    if kind not in ("none", "tanh"):
        raise call.refuse(f"approximate is {kind!r:.40}, expected none or tanh")
    return Activation(F.gelu, approximate=kind)


def _make_selu(call: Call) -> nn.Module:
    alpha, gamma = call.attributes.get("alpha"), call.attributes.get("gamma")
    if (alpha is not None and abs(alpha - 1.6732632) > 1e-6) or (
        gamma is not None and abs(gamma - 1.0507010) > 1e-6
    ):
        raise call.refuse("only the paper's alpha and gamma are supported")
    return Activation(F.selu)


def _make_prelu(call: Call) -> nn.Module:
    slopes = to_tensor(call.require(1))
    channels = slopes.shape[-3] if slopes.ndim > 2 else 1
    if slopes.numel() != channels:
        raise call.refuse(f"expected slopes [C, 1, 1], found {list(slopes.shape)}")
    return PRelu(slopes.reshape(-1))


def _make_softmax(call: Call) -> nn.Module:
    axis = call.attributes.get("axis", -1 if call.opset >= 13 else 1)
    if call.opset < 13 and axis != -1:
        raise call.refuse(
            f"before opset 13 an axis of {axis} flattens the others: export with opset 13 or later"
        )
    return Softmax(axis)


def _read_option(call: Call, name: str, default: float) -> float:
    return float(call.attributes.get(name, default))


OPERATORS: Mapping[str, Operator] = {
    "Celu": Operator(
        make=lambda call: Activation(F.celu, alpha=_read_option(call, "alpha", 1.0)),
        attributes=("alpha",),
    ),
    "Elu": Operator(
        make=lambda call: Activation(F.elu, alpha=_read_option(call, "alpha", 1.0)),
        attributes=("alpha",),
    ),
    "Gelu": Operator(make=_make_gelu, attributes=("approximate",)),
    "HardSigmoid": Operator(
        make=lambda call: Activation(
            _harden_sigmoid,
            alpha=_read_option(call, "alpha", 0.2),
            beta=_read_option(call, "beta", 0.5),
        ),
        attributes=("alpha", "beta"),
    ),
    "HardSwish": Operator(make=lambda _: Activation(F.hardswish)),
    "LeakyRelu": Operator(
        make=lambda call: Activation(
            F.leaky_relu, negative_slope=_read_option(call, "alpha", 0.01)
        ),
        attributes=("alpha",),
    ),
    "Mish": Operator(make=lambda _: Activation(F.mish)),
    "PRelu": Operator(make=_make_prelu),
    "Relu": Operator(make=lambda _: Relu()),
    "Selu": Operator(make=_make_selu, attributes=("alpha", "gamma")),
    "Sigmoid": Operator(make=lambda _: Activation(torch.sigmoid)),
    "Softmax": Operator(make=_make_softmax, attributes=("axis",)),
    "Softplus": Operator(make=lambda _: Activation(F.softplus)),
    "Softsign": Operator(make=lambda _: Activation(F.softsign)),
    "Swish": Operator(
        make=lambda call: Activation(_scale_sigmoid, alpha=_read_option(call, "alpha", 1.0)),
        attributes=("alpha",),
    ),
    "Tanh": Operator(make=lambda _: Activation(torch.tanh)),
}
"""Operators by their names in ONNX."""
