"""Convolutions, in one to three dimensions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..table import op

__all__ = ["conv", "conv_transpose", "paddings"]

_FORWARD = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


@op("conv")
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: list[int] | None = None,
    pad_type: str = "valid",
    pad: list[int] | None = None,
    dilations: list[int] | None = None,
    groups: int = 1,
) -> Tensor:
    """Convolve ``[N, C, *D]`` with ``[O, C / groups, *K]``."""
    sides = weight.ndim - 2
    strides, dilations = strides or [1] * sides, dilations or [1] * sides
    reach = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    before, after = paddings(pad_type, pad, list(x.shape[2:]), reach, strides)
    if before != after:
        x, before = F.pad(x, _last_first(before, after)), [0] * sides
    weight = weight.to(x.dtype)
    return _FORWARD[sides - 1](x, weight, bias, strides, before, dilations, groups)


@op("conv_transpose")
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: list[int] | None = None,
    output_shape: list[int] | None = None,
    pad_type: str = "valid",
    strides: list[int] | None = None,
    dilations: list[int] | None = None,
    groups: int = 1,
) -> Tensor:
    """Convolve ``[N, C, *D]`` transposed with ``[C, O / groups, *K]``, then crop by the padding."""
    sides = weight.ndim - 2
    strides, dilations = strides or [1] * sides, dilations or [1] * sides
    full = _TRANSPOSED[sides - 1](x, weight, None, strides, 0, 0, groups, dilations)
    for axis in range(sides):
        length = full.shape[2 + axis]
        start, stop = 0, length
        if pad_type == "custom" and pad:
            start, stop = pad[2 * axis], length - pad[2 * axis + 1]
        if pad_type.startswith("same"):
            extra = max(length - x.shape[2 + axis] * strides[axis], 0)
            start = extra // 2 if pad_type == "same" else extra - extra // 2
            stop = start + x.shape[2 + axis] * strides[axis]
        if output_shape is not None:
            stop = start + output_shape[-sides + axis]
        full = _part(full, 2 + axis, start, stop)
    if bias is None:
        return full
    return full + bias.reshape(1, -1, *([1] * sides))


def paddings(
    kind: str, pad: list[int] | None, lengths: list[int], reach: list[int], strides: list[int]
) -> tuple[list[int], list[int]]:
    """Return what is put before and after each spatial dimension.

    Args:
        kind: valid, custom, same or same_lower.
        pad: of custom padding, before and after each dimension.
        lengths: of the dimensions.
        reach: of the window along them, dilation included.
        strides: of the window along them.
    """
    if kind == "valid":
        return [0] * len(lengths), [0] * len(lengths)
    if kind == "custom":
        both = pad or [0] * (2 * len(lengths))
        return both[::2], both[1::2]
    before, after = [], []
    for length, window, stride in zip(lengths, reach, strides, strict=True):
        total = max((-(-length // stride) - 1) * stride + window - length, 0)
        less, more = total // 2, total - total // 2
        before.append(less if kind == "same" else more)
        after.append(more if kind == "same" else less)
    return before, after


def _last_first(before: list[int], after: list[int]) -> list[int]:
    """Return paddings as PyTorch takes them: last dimension first."""
    pairs = list(zip(before, after, strict=True))
    return [side for pair in reversed(pairs) for side in pair]


def _part(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """Return a range along an axis; beyond the end nothing was reached, so there it is zero."""
    beyond = stop - x.shape[axis]
    if beyond > 0:
        sides = list(x.shape)
        sides[axis] = beyond
        x = torch.cat([x, x.new_zeros(sides)], axis)
    return x.narrow(axis, start, stop - start)
