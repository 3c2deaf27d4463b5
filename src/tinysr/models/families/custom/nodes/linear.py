"""Products of matrices: with weights, and of what the image gives."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .base import Call, Node, Operator, to_tensor

__all__ = ["OPERATORS", "Linear", "MatMul"]


class Linear(Node, nn.Linear):
    """A product with weights, over the last axis, that casts what it reads."""

    def forward(self, input: Tensor) -> Tensor:
        """Map ``[..., inputs]`` to ``[..., outputs]``."""
        return nn.Linear.forward(self, self.cast_input(input))


class MatMul(Node):
    """A product of two values over the last axis of the first."""

    def __init__(self, operands: Mapping[int, Tensor]) -> None:
        super().__init__()
        for place, operand in operands.items():
            self.register_buffer(f"operand{place}", operand)

    def forward(self, *values: Tensor) -> Tensor:
        """Map ``[..., M, K]`` and ``[..., K, N]`` to ``[..., M, N]``."""
        rest = iter(values)
        buffers = [getattr(self, f"operand{place}", None) for place in range(2)]
        left, right = (
            self.cast_input(next(rest) if buffer is None else buffer) for buffer in buffers
        )
        return torch.matmul(left, right)


def _make_linear(weight: Tensor, bias: Tensor | None) -> Linear:
    """Return a layer for a weight ``[outputs, inputs]``."""
    outputs, inputs = weight.shape
    layer = Linear(inputs, outputs, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


def _make_matmul(call: Call) -> nn.Module:
    right = call.constants.get(1)
    if right is not None and right.ndim == 2:
        return _make_linear(to_tensor(right).t(), None)
    return MatMul({place: to_tensor(array) for place, array in call.constants.items()})


def _make_gemm(call: Call) -> nn.Module:
    call.expect(transA=0)
    weight, bias = to_tensor(call.require(1)), call.constant(2)
    if weight.ndim != 2:
        raise call.refuse(f"expected a weight of two axes, found {list(weight.shape)}")
    weight = weight if call.attributes.get("transB", 0) else weight.t()
    weight = weight * call.attributes.get("alpha", 1.0)
    if bias is None:
        return _make_linear(weight, None)
    values = to_tensor(bias) * call.attributes.get("beta", 1.0)
    if values.numel() not in (1, weight.shape[0]):
        raise call.refuse(f"expected a bias for each output, found {list(values.shape)}")
    return _make_linear(weight, values.reshape(-1).expand(weight.shape[0]).contiguous())


OPERATORS: Mapping[str, Operator] = {
    "Gemm": Operator(make=_make_gemm, attributes=("alpha", "beta", "transA", "transB")),
    "MatMul": Operator(make=_make_matmul),
}
"""Operators by their names in ONNX."""
