"""Resizes and borders of a batch whose items have sizes of their own.

A resize is linear along each axis, so it is a matrix per item and axis. All items lie in the top
left of one canvas; beyond its own size an item is mirrored, so that filters find what a mirrored
border would give them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["MODES", "ResizeMode", "Sides", "blur", "continue_borders", "mirror", "resize"]

ResizeMode = Literal["area", "bilinear", "bicubic"]
MODES: tuple[ResizeMode, ...] = ("area", "bilinear", "bicubic")

Sides = tuple[int, int]
"""Rows and columns of one item."""


def resize(
    canvas: Tensor,
    sizes: Sequence[Sides],
    targets: Sequence[Sides],
    modes: Sequence[ResizeMode],
    *,
    antialias: bool,
) -> Tensor:
    """Resize each item from its size to its target, and mirror it to fill the new canvas.

    Args:
        canvas: ``[N, C, H, W]``.
        sizes: of the items in it.
        targets: their sizes afterwards; the new canvas has the largest rows and columns.
        modes: of each item.
        antialias: whether bilinear and bicubic reductions filter first.
    """
    rows, columns = (max(target[axis] for target in targets) for axis in (0, 1))
    vertical, horizontal = (
        torch.stack(
            [
                _matrix(
                    _resampling(size[axis], target[axis], mode, antialias=antialias),
                    width=canvas.shape[2 + axis],
                    fill=fill,
                )
                for size, target, mode in zip(sizes, targets, modes, strict=True)
            ]
        ).to(canvas.device)
        for axis, fill in ((0, rows), (1, columns))
    )
    return vertical[:, None] @ canvas @ horizontal[:, None].transpose(2, 3)


def _matrix(resampling: Tensor, *, width: int, fill: int) -> Tensor:
    """Return ``[fill, width]``: a resize ``[target, size]`` of the canvas, mirrored to fill one."""
    target, size = resampling.shape
    matrix = torch.zeros(fill, width)
    matrix[:, :size] = resampling[_reflection(target, 0, fill)]
    return matrix


def _resampling(size: int, target: int, mode: ResizeMode, *, antialias: bool) -> Tensor:
    """Return the resize as PyTorch defines it ``[target, size]``: of each unit vector."""
    units = torch.eye(size)[None, None]
    if mode == "area":
        return F.interpolate(units, size=(target, size), mode=mode)[0, 0]
    return F.interpolate(
        units, size=(target, size), mode=mode, align_corners=False, antialias=antialias
    )[0, 0]


def mirror(canvas: Tensor, sizes: Sequence[Sides], margin: int = 0) -> Tensor:
    """Mirror each item again beyond its own size, and around the canvas by ``margin`` pixels."""
    rows, columns = canvas.shape[2:]
    if not margin and all(size == (rows, columns) for size in sizes):
        return canvas
    down = [_reflection(size[0], -margin, rows + margin) for size in sizes]
    across = [_reflection(size[1], -margin, columns + margin) for size in sizes]
    return _gather(canvas, down, across)


def continue_borders(canvas: Tensor, sizes: Sequence[Sides], multiple: int) -> Tensor:
    """Continue each item by its last row and column, in a canvas that ``multiple`` divides."""
    rows, columns = (-(-length // multiple) * multiple for length in canvas.shape[2:])
    down = [torch.arange(rows).clamp(max=size[0] - 1) for size in sizes]
    across = [torch.arange(columns).clamp(max=size[1] - 1) for size in sizes]
    return _gather(canvas, down, across)


def _gather(canvas: Tensor, down: Sequence[Tensor], across: Sequence[Tensor]) -> Tensor:
    """Return each item at its own rows and columns."""
    item = torch.arange(len(canvas), device=canvas.device)[:, None, None]
    rows = torch.stack(list(down)).to(canvas.device)[:, :, None]
    columns = torch.stack(list(across)).to(canvas.device)[:, None, :]
    return canvas.permute(0, 2, 3, 1)[item, rows, columns].permute(0, 3, 1, 2)


def blur(canvas: Tensor, kernels: Tensor, sizes: Sequence[Sides]) -> Tensor:
    """Filter each item ``[C, H, W]`` by its kernel ``[k, k]``, borders mirrored."""
    count, channels, rows, columns = canvas.shape
    wide = mirror(canvas, sizes, kernels.shape[-1] // 2)
    weight = kernels.to(canvas.device).repeat_interleave(channels, 0)[:, None]
    filtered = F.conv2d(
        wide.reshape(1, count * channels, *wide.shape[2:]), weight, groups=count * channels
    )
    return mirror(filtered.reshape(count, channels, rows, columns), sizes)


def _reflection(size: int, start: int, stop: int) -> Tensor:
    """Return the places ``start … stop`` of a line that is mirrored about its end pixels."""
    if size == 1:
        return torch.zeros(stop - start, dtype=torch.int64)
    place = torch.arange(start, stop) % (2 * size - 2)
    return torch.where(place < size, place, 2 * size - 2 - place)
