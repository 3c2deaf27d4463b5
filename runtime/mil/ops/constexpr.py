"""Compressed weights: what they are before anything is computed with them.

Formats of iOS 16 (``shape`` and packed indices as attributes) and of iOS 18 (blocks, and types of
fewer than 8 bits) share their names. The results have the declared type, as Core ML decodes them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..table import op

__all__ = [
    "affine_dequantize",
    "blockwise_shift_scale",
    "constexpr_cast",
    "dequantize",
    "lut_to_dense",
    "quantize",
    "sparse_to_dense",
]


@op("constexpr_cast", narrow=True)
def constexpr_cast(source_val: Tensor, output_dtype: str) -> Tensor:
    """Leave the value: the declared type of the result is the cast."""
    return source_val


@op("constexpr_affine_dequantize")
def affine_dequantize(
    quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: int
) -> Tensor:
    """scale·(data − zero_point), with one scale in all or one for each slice of an axis."""
    sides = [1] * quantized_data.ndim
    sides[axis] = -1
    zero, factor = (t if t.ndim == 0 else t.reshape(sides) for t in (zero_point, scale))
    return (quantized_data.float() - zero.float()) * factor


@op("constexpr_blockwise_shift_scale")
def blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    """scale·(data − offset), with a scale and an offset for each block."""
    values = data.float()
    if offset is not None:
        values = values - _spread(offset.float(), data)
    return values * _spread(scale, data)


@op("constexpr_lut_to_dense", narrow=True)
def lut_to_dense(
    indices: Tensor, lut: Tensor, shape: list[int] | None = None, vector_axis: int | None = None
) -> Tensor:
    """Look up palettes: one for all, or of iOS 18, ``[*groups, colours, vector]``."""
    if shape is not None:
        width = (lut.numel() - 1).bit_length()
        return lut[_bits(indices, width, _count(shape))].reshape(shape)
    colours, vector = lut.shape[-2:]
    groups = lut.reshape(-1, colours, vector)
    group = torch.arange(len(groups)).reshape(lut.shape[:-2])
    place = _spread(group, indices) * colours + indices
    found = groups.reshape(-1, vector)[place.reshape(-1)].reshape(*indices.shape, vector)
    if vector == 1:
        return found.squeeze(-1)
    axis = (vector_axis or 0) % indices.ndim
    return found.movedim(-1, axis + 1).flatten(axis, axis + 1)


@op("constexpr_sparse_to_dense", narrow=True)
def sparse_to_dense(nonzero_data: Tensor, mask: Tensor, shape: list[int] | None = None) -> Tensor:
    """Put values where the mask's bits are set; zero elsewhere."""
    if shape is not None:
        mask = _bits(mask, 1, _count(shape)).reshape(shape)
    dense = nonzero_data.new_zeros(mask.shape)
    dense[mask.bool()] = nonzero_data
    return dense


@op("constexpr_lut_to_sparse", narrow=True)
def lut_to_sparse(
    indices_mask: Tensor,
    indices_nonzero_data: Tensor,
    lut: Tensor,
    vector_axis: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Look up palettes for the values that are stored; returns the mask beside them."""
    dense = lut_to_dense(
        sparse_to_dense(indices_nonzero_data, indices_mask), lut, None, vector_axis
    )
    mask = indices_mask
    if lut.shape[-1] > 1:
        mask = mask.repeat_interleave(lut.shape[-1], vector_axis or 0)
    return mask, dense[mask.bool()]


@op("constexpr_sparse_blockwise_shift_scale")
def sparse_blockwise_shift_scale(
    data_mask: Tensor, nonzero_data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Dequantize the values that are stored; returns the mask beside them."""
    dense = blockwise_shift_scale(sparse_to_dense(nonzero_data, data_mask), scale, offset)
    return data_mask, dense[data_mask.bool()]


@op("quantize")
def quantize(
    input: Tensor,
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: int | None = None,
) -> Tensor:
    """round(input / scale) + zero_point, kept within the type."""
    low, high = (0, 255) if output_dtype == "uint8" else (-128, 127)
    zero = 0.0 if zero_point is None else _along(zero_point, input, axis).float()
    return torch.clamp(torch.round(input / _along(scale, input, axis)) + zero, low, high)


@op("dequantize")
def dequantize(
    input: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    axis: int | None = None,
) -> Tensor:
    """(input − zero_point)·scale."""
    zero = 0.0 if zero_point is None else _along(zero_point, input, axis).float()
    return (input.float() - zero) * _along(scale, input, axis)


def _along(values: Tensor, x: Tensor, axis: int | None) -> Tensor:
    if values.ndim == 0 or axis is None:
        return values
    sides = [1] * x.ndim
    sides[axis] = -1
    return values.reshape(sides)


def _spread(blocks: Tensor, like: Tensor) -> Tensor:
    """Repeat one value for each block until there is one for each element."""
    for axis, side in enumerate(like.shape):
        if blocks.shape[axis] not in (1, side):
            blocks = blocks.repeat_interleave(side // blocks.shape[axis], axis)
    return blocks.expand(like.shape)


def _bits(packed: Tensor, width: int, count: int) -> Tensor:
    """Return indices from bytes that hold them lowest bits first, also across bytes."""
    shifts = torch.arange(8, dtype=torch.uint8)
    stream = ((packed.reshape(-1, 1) >> shifts) & 1).reshape(-1)[: count * width]
    weights = 2 ** torch.arange(width)
    return (stream.reshape(count, width).long() * weights).sum(1)


def _count(shape: list[int]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count
