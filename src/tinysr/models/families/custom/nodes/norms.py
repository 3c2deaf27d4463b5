"""Normalisations."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Call, Node, Operator, to_tensor

__all__ = [
    "FUSED_GROUP_NORM",
    "OPERATORS",
    "OWN_OPERATORS",
    "BatchNorm",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "RmsNorm",
]


class _Norm(Node):
    """A normalisation with a weight and a bias."""

    def __init__(self, weight: Tensor, bias: Tensor | None, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.epsilon = epsilon

    def _affine(self) -> tuple[Tensor, Tensor | None]:
        bias = None if self.bias is None else self.cast_input(self.bias)
        return self.cast_input(self.weight), bias


class BatchNorm(_Norm):
    """A weight and a bias for each channel, which is all that is left of fixed statistics."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, ...]`` to the same shape."""
        shape = (-1, *[1] * (x.ndim - 2))
        weight, bias = self._affine()
        y = self.cast_input(x) * weight.reshape(shape)
        return y if bias is None else y + bias.reshape(shape)


class InstanceNorm(_Norm):
    """Normalisation of each channel over all places."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, ...]`` to the same shape."""
        weight, bias = self._affine()
        return F.instance_norm(self.cast_input(x), weight=weight, bias=bias, eps=self.epsilon)


class LayerNorm(_Norm):
    """Normalisation over the last axes: those of the weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., C]`` to the same shape."""
        weight, bias = self._affine()
        return F.layer_norm(self.cast_input(x), list(weight.shape), weight, bias, self.epsilon)


class RmsNorm(_Norm):
    """Division by the root of the mean square over the last axes: those of the weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., C]`` to the same shape."""
        weight, _ = self._affine()
        return F.rms_norm(self.cast_input(x), list(weight.shape), weight, self.epsilon)


class GroupNorm(_Norm):
    """Normalisation of each group of channels over all places."""

    def __init__(self, groups: int, weight: Tensor, bias: Tensor, epsilon: float) -> None:
        super().__init__(weight, bias, epsilon)
        self.groups = groups
        self.shape: tuple[int, ...] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, ...]`` to the same shape.

        Raises:
            ValueError: it was exported for another shape.
        """
        if self.shape is not None and tuple(x.shape) != self.shape:
            raise ValueError(f"expected {list(self.shape)}, found {list(x.shape)}")
        weight, bias = self._affine()
        return F.group_norm(self.cast_input(x), self.groups, weight, bias, self.epsilon)


def _read_epsilon(call: Call) -> float:
    return float(call.attributes.get("epsilon", 1e-5))


def _read_vectors(call: Call, count: int) -> list[Tensor]:
    """Return the first constant inputs after the image: vectors of one length."""
    found = [to_tensor(call.require(place + 1)) for place in range(count)]
    if len({tuple(vector.shape) for vector in found}) != 1 or found[0].ndim != 1:
        raise call.refuse(f"expected vectors of one length, found {[list(v.shape) for v in found]}")
    return found


def _make_batch_norm(call: Call) -> nn.Module:
    call.expect(training_mode=0)
    scale, shift, mean, variance = _read_vectors(call, 4)
    weight = scale.double() / torch.sqrt(variance.double() + _read_epsilon(call))
    bias = shift.double() - mean.double() * weight
    return BatchNorm(weight.float(), bias.float(), 0.0)


def _make_instance_norm(call: Call) -> nn.Module:
    weight, bias = _read_vectors(call, 2)
    return InstanceNorm(weight, bias, _read_epsilon(call))


def _make_layer_norm(call: Call) -> nn.Module:
    call.expect(stash_type=1)
    weight, bias = to_tensor(call.require(1)), call.constant(2)
    axis = call.attributes.get("axis", -1)
    if axis != -weight.ndim:
        raise call.refuse(f"axis is {axis}, expected -{weight.ndim} for weights of its shape")
    if bias is not None and bias.shape != weight.shape:
        raise call.refuse(f"expected a bias {list(weight.shape)}, found {list(bias.shape)}")
    kind = LayerNorm if call.operator == "LayerNormalization" else RmsNorm
    return kind(weight, None if bias is None else to_tensor(bias), _read_epsilon(call))


def _make_group_norm(call: Call) -> nn.Module:
    call.expect(stash_type=1)
    weight, bias = _read_vectors(call, 2)
    groups = call.attributes.get("num_groups", 0)
    if call.opset < 21:
        raise call.refuse("before opset 21 it was defined otherwise: export with opset 21, or 17")
    if groups < 1 or len(weight) % groups:
        raise call.refuse(f"num_groups is {groups}, expected a divisor of {len(weight)}")
    return GroupNorm(groups, weight, bias, _read_epsilon(call))


def _make_fused_group_norm(call: Call) -> nn.Module:
    weight, bias = (to_tensor(call.require(place)).reshape(-1) for place in (1, 2))
    layer = GroupNorm(call.attributes["num_groups"], weight, bias, _read_epsilon(call))
    shape = call.attributes.get("shape")
    layer.shape = None if shape is None else tuple(shape)
    return layer


FUSED_GROUP_NORM = "tinysr.GroupNorm"
"""Operator of our own, for group norms that were put together; files can't have it."""

OWN_OPERATORS: Mapping[str, Operator] = {
    FUSED_GROUP_NORM: Operator(make=_make_fused_group_norm),
}
"""Operators that no file has, but what its nodes were made to."""

OPERATORS: Mapping[str, Operator] = {
    "BatchNormalization": Operator(
        make=_make_batch_norm, attributes=("epsilon", "momentum", "training_mode")
    ),
    "GroupNormalization": Operator(
        make=_make_group_norm, attributes=("epsilon", "num_groups", "stash_type")
    ),
    "InstanceNormalization": Operator(make=_make_instance_norm, attributes=("epsilon",)),
    "LayerNormalization": Operator(
        make=_make_layer_norm, attributes=("axis", "epsilon", "stash_type")
    ),
    "RMSNormalization": Operator(
        make=_make_layer_norm, attributes=("axis", "epsilon", "stash_type")
    ),
}
"""Operators by their names in ONNX."""
