"""Resizing the last dimensions. Where each result is sampled follows MIL's definitions."""

from __future__ import annotations

import torch
from torch import Tensor

from tinysr.errors import UnsupportedError

from ..table import op

__all__ = ["resize", "resize_bilinear", "resize_nearest_neighbor", "upsample_bilinear"]


@op("upsample_nearest_neighbor", narrow=True)
def upsample_nearest_neighbor(
    x: Tensor, scale_factor_height: float = 1.0, scale_factor_width: float = 1.0
) -> Tensor:
    """Repeat pixels."""
    height, width = (
        int(side * factor)
        for side, factor in zip(
            x.shape[-2:], (scale_factor_height, scale_factor_width), strict=True
        )
    )
    return resize_nearest_neighbor(x, height, width)


@op("resize_nearest_neighbor", narrow=True)
def resize_nearest_neighbor(x: Tensor, target_size_height: int, target_size_width: int) -> Tensor:
    """Take the pixel ``floor(i · from / to)``."""
    for axis, size in ((-2, target_size_height), (-1, target_size_width)):
        x = x.index_select(axis, torch.arange(size) * x.shape[axis] // size)
    return x


@op("upsample_bilinear")
def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float = 1.0,
    scale_factor_width: float = 1.0,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    """Interpolate to a multiple of each side."""
    centred = not align_corners if half_pixel_centers is None else half_pixel_centers
    mode = "UNALIGN_CORNERS" if centred else "STRICT_ALIGN_CORNERS" if align_corners else "DEFAULT"
    height = int(x.shape[-2] * scale_factor_height)
    width = int(x.shape[-1] * scale_factor_width)
    return resize_bilinear(x, height, width, mode)


@op("resize_bilinear")
def resize_bilinear(
    x: Tensor,
    target_size_height: int = 1,
    target_size_width: int = 1,
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    """Interpolate the last two dimensions."""
    for axis, size in ((-2, target_size_height), (-1, target_size_width)):
        x = _linear(x, axis, size, sampling_mode)
    return x


@op("resize")
def resize(
    x: Tensor,
    shape: list[int],
    resized_dims: int,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    """Interpolate the last ``resized_dims`` dimensions; a size of 0 keeps one."""
    for axis in range(-resized_dims, 0):
        size = shape[axis] or x.shape[axis]
        if interpolation_mode == "LINEAR":
            x = _linear(x, axis, size, sampling_mode)
        else:
            places = _places(x.shape[axis], size, sampling_mode)
            x = x.index_select(axis, torch.floor(places + 1e-6).long())
    return x


def _linear(x: Tensor, axis: int, size: int, mode: str) -> Tensor:
    length = x.shape[axis]
    place = _places(length, size, mode)
    low = place.floor().clamp(max=max(length - 2, 0))
    share = (place - low).to(x.dtype)
    first = x.index_select(axis, low.long())
    second = x.index_select(axis, (low.long() + 1).clamp(max=length - 1))
    weight = share.reshape(-1, *[1] * (-axis - 1))
    return first * (1 - weight) + second * weight


def _places(length: int, size: int, mode: str) -> Tensor:
    """Return where along a side each of ``size`` results is sampled."""
    i = torch.arange(size, dtype=torch.float64)
    last = length - 1
    if mode == "UNALIGN_CORNERS":
        place = (i + 0.5) * length / size - 0.5
    elif mode == "DEFAULT":
        place = i * (length / size)
    elif mode == "OFFSET_CORNERS":
        place = (i + 0.5) * max(1, last) / size
    elif mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        middle = last / 2 if mode == "ALIGN_CORNERS" else 0.0
        place = i * last / (size - 1) if size > 1 else torch.full((1,), middle).double()
    else:
        raise UnsupportedError(f"sampling by {mode}")
    return place.clamp(0, last)
