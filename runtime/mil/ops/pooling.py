"""Pooling, in one to three dimensions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysr.errors import UnsupportedError

from ..table import op
from .convolution import paddings

__all__ = ["avg_pool", "l2_pool", "max_pool"]

_MAX = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
_AVERAGE = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)


@op("max_pool")
def max_pool(
    x: Tensor,
    kernel_sizes: list[int],
    strides: list[int] | None = None,
    pad_type: str = "valid",
    pad: list[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the largest value of each window; padding never is."""
    strides = strides or [1] * len(kernel_sizes)
    x = _padded(x, kernel_sizes, strides, pad_type, pad, float("-inf"), ceil_mode=ceil_mode)
    return _MAX[len(kernel_sizes) - 1](x, kernel_sizes, strides)


@op("avg_pool")
def avg_pool(
    x: Tensor,
    kernel_sizes: list[int],
    strides: list[int] | None = None,
    pad_type: str = "valid",
    pad: list[int] | None = None,
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the mean of each window, its padding counted or not."""
    strides = strides or [1] * len(kernel_sizes)
    place = (kernel_sizes, strides, pad_type, pad)
    average = _AVERAGE[len(kernel_sizes) - 1]
    mean = average(_padded(x, *place, 0.0, ceil_mode=ceil_mode), kernel_sizes, strides)
    if not exclude_padding_from_average:
        return mean
    inside = _padded(torch.ones_like(x), *place, 0.0, ceil_mode=ceil_mode)
    return mean / average(inside, kernel_sizes, strides)


@op("l2_pool")
def l2_pool(
    x: Tensor,
    kernel_sizes: list[int],
    strides: list[int] | None = None,
    pad_type: str = "valid",
    pad: list[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the length of each window as a vector."""
    count = 1
    for side in kernel_sizes:
        count *= side
    mean = avg_pool(x.square(), kernel_sizes, strides, pad_type, pad, ceil_mode=ceil_mode)
    return (mean * count).sqrt()


def _padded(
    x: Tensor,
    kernel: list[int],
    strides: list[int],
    kind: str,
    pad: list[int] | None,
    value: float,
    *,
    ceil_mode: bool,
) -> Tensor:
    before, after = paddings(kind, pad, list(x.shape[2:]), kernel, strides)
    if ceil_mode:
        lengths = [n + b + a for n, b, a in zip(x.shape[2:], before, after, strict=True)]
        if any((n - k) % s for n, k, s in zip(lengths, kernel, strides, strict=True)):
            raise UnsupportedError("pooling with ceil_mode whose last window is not whole")
    pairs = list(zip(before, after, strict=True))
    return F.pad(x, [side for pair in reversed(pairs) for side in pair], value=value)
