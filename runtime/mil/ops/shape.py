"""Operations that only move values: they keep the type in which they come."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysr.errors import UnsupportedError

from ..table import op

__all__ = ["concat", "depth_to_space", "pad", "reshape", "split", "stack", "tile", "transpose"]

_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "replicate"}


@op("identity", narrow=True)
def identity(x: Tensor) -> Tensor:
    """Return the value."""
    return x


@op("reshape", narrow=True)
def reshape(x: Tensor, shape: list[int]) -> Tensor:
    """Give a shape; -1 is what is left, and 0 the side that was there."""
    same = len(shape) == x.ndim
    return x.reshape([x.shape[i] if same and side == 0 else side for i, side in enumerate(shape)])


@op("flatten2d", narrow=True)
def flatten2d(x: Tensor, axis: int = 1) -> Tensor:
    """Join the dimensions before an axis, and those from it on."""
    return x.reshape(int(torch.tensor(x.shape[:axis]).prod()), -1)


@op("transpose", narrow=True)
def transpose(x: Tensor, perm: list[int]) -> Tensor:
    """Reorder the dimensions."""
    return x.permute(perm)


@op("expand_dims", narrow=True)
def expand_dims(x: Tensor, axes: list[int]) -> Tensor:
    """Add dimensions of 1 at these places of the result."""
    rank = x.ndim + len(axes)
    for axis in sorted(a % rank for a in axes):
        x = x.unsqueeze(axis)
    return x


@op("squeeze", narrow=True)
def squeeze(x: Tensor, axes: list[int] | None = None) -> Tensor:
    """Drop dimensions of 1: these, or all."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


@op("concat", narrow=True)
def concat(values: list[Tensor], axis: int, interleave: bool = False) -> Tensor:
    """Join along an axis, one after the other or by turns."""
    if not interleave:
        return torch.cat([value.reshape(value.shape or 1) for value in values], axis)
    axis %= values[0].ndim
    return torch.stack(values, axis + 1).flatten(axis, axis + 1)


@op("stack", narrow=True)
def stack(values: list[Tensor], axis: int) -> Tensor:
    """Join along a new axis."""
    return torch.stack(values, axis)


@op("split", narrow=True)
def split(
    x: Tensor, axis: int, num_splits: int | None = None, split_sizes: list[int] | None = None
) -> tuple[Tensor, ...]:
    """Cut along an axis into parts of these sizes, or of one size."""
    if split_sizes is not None:
        return torch.split(x, split_sizes, axis)
    return torch.split(x, x.shape[axis] // (num_splits or 1), axis)


@op("pad", narrow=True)
def pad(x: Tensor, pad: list[int], mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    """Put values before and after the last dimensions: a constant, the mirrored or border ones."""
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    sides = [side for pair in reversed(pairs) for side in pair]
    if mode == "constant":
        return F.pad(x, sides, value=constant_val)
    if mode not in _MODES:
        raise UnsupportedError(f"padding by {mode}")
    while len(sides) > 2 and sides[-2:] == [0, 0]:
        sides = sides[:-2]
    extra = len(sides) // 2 + 2 - x.ndim  # PyTorch wants as many dimensions before the padded ones
    wide = x.reshape([1] * max(extra, 0) + list(x.shape))
    lead = wide.shape[: wide.ndim - len(sides) // 2]
    flat = wide.reshape(1, -1, *wide.shape[len(lead) :])
    padded = F.pad(flat, sides, mode=_MODES[mode])
    return padded.reshape(*x.shape[: x.ndim - len(sides) // 2], *padded.shape[2:])


@op("tile", narrow=True)
def tile(x: Tensor, reps: list[int]) -> Tensor:
    """Repeat along each dimension."""
    return x.repeat(reps)


@op("reverse", narrow=True)
def reverse(x: Tensor, axes: list[int] | None = None) -> Tensor:
    """Turn axes round: these, or all."""
    return x.flip(list(range(x.ndim)) if axes is None else axes)


@op("crop", narrow=True)
def crop(x: Tensor, crop_height: list[int], crop_width: list[int]) -> Tensor:
    """Cut from the ends of the last two dimensions."""
    (top, bottom), (left, right) = crop_height, crop_width
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


@op("pixel_shuffle", narrow=True)
def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """Spread channels over blocks of pixels: channel c·r² + dy·r + dx goes to channel c."""
    return F.pixel_shuffle(x, upscale_factor)


@op("pixel_unshuffle", narrow=True)
def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """Gather blocks of pixels into channels."""
    return F.pixel_unshuffle(x, downscale_factor)


@op("depth_to_space", narrow=True)
def depth_to_space(x: Tensor, block_size: int) -> Tensor:
    """Spread channels over blocks of pixels: channel (dy·r + dx)·C + c goes to channel c."""
    n, channels, height, width = x.shape
    r = block_size
    blocks = x.reshape(n, r, r, channels // r**2, height, width)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(n, channels // r**2, height * r, width * r)


@op("space_to_depth", narrow=True)
def space_to_depth(x: Tensor, block_size: int) -> Tensor:
    """Gather blocks of pixels into channels, as :func:`depth_to_space` spreads them."""
    n, channels, height, width = x.shape
    r = block_size
    blocks = x.reshape(n, channels, height // r, r, width // r, r)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(n, channels * r**2, height // r, width // r)


@op("space_to_batch", narrow=True)
def space_to_batch(x: Tensor, block_shape: list[int], paddings: list[int]) -> Tensor:
    """Pad ``[N, C, H, W]``, then deal its pixels out to images, block by block."""
    (down, across), (top, bottom, left, right) = block_shape, paddings
    x = F.pad(x, [left, right, top, bottom])
    n, channels, height, width = x.shape
    blocks = x.reshape(n, channels, height // down, down, width // across, across)
    dealt = blocks.permute(3, 5, 0, 1, 2, 4)
    return dealt.reshape(n * down * across, channels, height // down, width // across)


@op("batch_to_space", narrow=True)
def batch_to_space(x: Tensor, block_shape: list[int], crops: list[int]) -> Tensor:
    """Undo :func:`space_to_batch`, cropping in place of padding."""
    (down, across), (top, bottom, left, right) = block_shape, crops
    n, channels, height, width = x.shape
    count = n // (down * across)
    blocks = x.reshape(down, across, count, channels, height, width).permute(2, 3, 4, 0, 5, 1)
    whole = blocks.reshape(count, channels, height * down, width * across)
    return whole[..., top : height * down - bottom, left : width * across - right]


@op("sliding_windows", narrow=True)
def sliding_windows(x: Tensor, axis: int, size: int, stride: int = 1) -> Tensor:
    """Return all windows of an axis; their elements lie along a new one after it."""
    return x.unfold(axis, size, stride).movedim(-1, axis % x.ndim + 1)


@op("shape")
def shape(x: Tensor) -> Tensor:
    """Return the sides."""
    return torch.tensor(list(x.shape), dtype=torch.int32)


@op("fill")
def fill(shape: list[int], value: Tensor | None = None) -> Tensor:
    """Return one value everywhere; 0 by default."""
    return torch.zeros(shape) if value is None else value.expand(shape)


@op("fill_like")
def fill_like(ref_tensor: Tensor, value: Tensor | None = None) -> Tensor:
    """Return one value in the shape of another tensor."""
    return fill(list(ref_tensor.shape), value)


@op("range_1d")
def range_1d(end: Tensor, start: Tensor, step: Tensor) -> Tensor:
    """Return start, start + step, … below end."""
    return torch.arange(start.item(), end.item(), step.item())


@op("band_part", narrow=True)
def band_part(x: Tensor, lower: int = -1, upper: int = -1) -> Tensor:
    """Keep so many diagonals below and above the main one; -1 keeps all."""
    if lower >= 0:
        x = torch.triu(x, -lower)
    return torch.tril(x, upper) if upper >= 0 else x
