"""Weights in 8 and 4 bits, symmetric around zero: value = integer × scale.

Symmetric, because TensorRT takes no zero points; and without the lowest integer, so that a value
and its negative are equally far from what they become.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..plans.quantization import Format
from .baked import MatMulLinear

__all__ = [
    "INT8_MAX",
    "QuantizedWeight",
    "find_layers",
    "quantize",
    "quantize_int8",
    "quantize_layer",
]

INT8_MAX = 127
_INT4_MAX = 7

SMALLEST = 1024
"""Weights of a layer. Below this, its bytes don't count and its few values often do."""

_BLOCKS = {"w8": 128, "w4": 32}
"""Weights along the inputs that share a scale, where the number of inputs divides by it."""

_SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
"""Parts of a block's largest value that become the largest integer; the best is taken. In 4 bits
it pays to clip the largest value for the sake of all others."""


_LEAST_SCALE = float(torch.finfo(torch.float16).tiny)
"""The smallest scale of int8, which may stand in a graph as fp16: below it halves lose bits, and
some runtimes read zero."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizedWeight:
    """A weight as integers and scales, as ONNX's DequantizeLinear reads them."""

    integers: Tensor
    """int8, shaped as the weight, also when they fit in 4 bits."""
    scales: Tensor
    """``[outputs]`` for one scale per output; with blocks, shaped as the weight, but with one
    scale for each block along the inputs."""
    axis: int
    """The axis of the outputs; with blocks, that of the inputs."""
    block: int
    """Weights that share a scale; 0 for one scale per output."""
    bits: int

    def dequantize(self) -> Tensor:
        """Return the weight in fp32, as it is computed with."""
        if not self.block:
            shape = [1] * self.integers.ndim
            shape[self.axis] = -1
            return self.integers * self.scales.reshape(shape)
        return self.integers * self.scales.repeat_interleave(self.block, dim=self.axis)

    def arrays(self) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return integers, in their type, and scales."""
        integers = self.integers.numpy()
        if self.bits == 4:
            integers = integers.astype(ml_dtypes.int4)
        return integers, self.scales.numpy()


def find_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that can be quantized, by their paths, in the model's order.

    Depthwise convolutions and other layers with few weights can't.
    """
    kinds = (nn.Conv2d, nn.Linear, MatMulLinear)
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, kinds)
        and module.weight.numel() >= SMALLEST
        and getattr(module, "groups", 1) == 1
    }


def quantize_layer(layer: nn.Module, form: Format) -> QuantizedWeight:
    """Quantize a layer's weight."""
    outputs, inputs = (1, 0) if isinstance(layer, MatMulLinear) else (0, 1)
    weight = layer.get_parameter("weight").detach()
    count = weight.shape[inputs]
    if form == "w4":
        block = _BLOCKS[form] if count % _BLOCKS[form] == 0 else count
        return quantize(weight, axis=inputs, block=block, bits=4)
    if form == "w8" and weight.ndim == 2 and count % _BLOCKS[form] == 0:
        return quantize(weight, axis=inputs, block=_BLOCKS[form], bits=8)
    if form == "int8":
        return quantize_int8(weight, outputs)
    return quantize(weight, axis=outputs, block=0, bits=8)


def quantize_int8(weight: Tensor, axis: int) -> QuantizedWeight:
    """Quantize a tensor with one scale, that fp16 holds, for each place along an axis."""
    return quantize(weight, axis=axis, block=0, bits=8, least=_LEAST_SCALE)


def quantize(
    weight: Tensor, *, axis: int, block: int, bits: int, least: float = 0.0
) -> QuantizedWeight:
    """Quantize a tensor.

    Args:
        weight: fp32, of any shape.
        axis: as :attr:`QuantizedWeight.axis` has it.
        block: as :attr:`QuantizedWeight.block` has it.
        bits: 8 or 4.
        least: the smallest scale.
    """
    largest = INT8_MAX if bits == 8 else _INT4_MAX
    if block:
        shape = (*weight.shape[:axis], -1, block, *weight.shape[axis + 1 :])
        grouped = weight.reshape(shape)
        dims: tuple[int, ...] = (axis + 1,)
    else:
        grouped = weight
        dims = tuple(dim for dim in range(weight.ndim) if dim != axis)
    absmax = grouped.abs().amax(dims, keepdim=True)
    best, error = absmax, torch.full_like(absmax, torch.inf)
    for shrink in _SHRINKS if bits == 4 else _SHRINKS[:1]:
        tried = _scale(absmax * shrink, largest).clamp(min=least)
        found = (_round(grouped, tried, largest) * tried - grouped).square().sum(dims, keepdim=True)
        best, error = torch.where(found < error, tried, best), torch.minimum(found, error)
    integers = _round(grouped, best, largest).to(torch.int8)
    scales = best.squeeze(axis + 1) if block else best.flatten()
    return QuantizedWeight(
        integers=integers.reshape(weight.shape).contiguous(),
        scales=scales.contiguous(),
        axis=axis,
        block=block,
        bits=bits,
    )


def _scale(absmax: Tensor, largest: int) -> Tensor:
    return torch.where(absmax > 0, absmax / largest, torch.ones_like(absmax))


def _round(values: Tensor, scale: Tensor, largest: int) -> Tensor:
    return (values / scale).round().clamp(-largest, largest)
