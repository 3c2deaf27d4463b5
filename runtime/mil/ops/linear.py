"""Products of matrices. They add up in fp32; the result is rounded."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..table import op

__all__ = ["einsum", "linear", "matmul", "scaled_dot_product_attention"]


@op("linear")
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Map ``[…, inputs]`` with ``[outputs, inputs]``."""
    return F.linear(x, weight, bias)


@op("matmul")
def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    """Multiply the last two dimensions, broadcasting the others."""
    return (x.mT if transpose_x else x) @ (y.mT if transpose_y else y)


@op("einsum")
def einsum(values: list[Tensor], equation: str) -> Tensor:
    """Sum products as the equation says."""
    return torch.einsum(equation, *values)


@op("scaled_dot_product_attention")
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """softmax(q·kᵀ / √dim + mask)·v; a boolean mask is true where attention is allowed."""
    return F.scaled_dot_product_attention(query, key, value, attn_mask)
