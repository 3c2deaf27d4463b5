"""Slices, gathers and scatters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysr.errors import UnsupportedError

from ..table import op

__all__ = ["gather", "gather_along_axis", "gather_nd", "one_hot", "slice_by_index"]


@op("slice_by_index", narrow=True)
def slice_by_index(
    x: Tensor,
    begin: list[int],
    end: list[int],
    stride: list[int] | None = None,
    begin_mask: list[bool] | None = None,
    end_mask: list[bool] | None = None,
    squeeze_mask: list[bool] | None = None,
) -> Tensor:
    """Slice as Python does; masks open an end, or take one element and drop the axis."""
    index = _index(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    return x[tuple(part.to(x.device) if isinstance(part, Tensor) else part for part in index)]


@op("slice_update", narrow=True)
def slice_update(
    x: Tensor,
    update: Tensor,
    begin: list[int],
    end: list[int],
    stride: list[int] | None = None,
    begin_mask: list[bool] | None = None,
    end_mask: list[bool] | None = None,
    squeeze_mask: list[bool] | None = None,
) -> Tensor:
    """Put values in the place of a slice."""
    result = x.clone()
    result[_index(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)] = update
    return result


@op("slice_by_size", narrow=True)
def slice_by_size(x: Tensor, begin: list[int], size: list[int]) -> Tensor:
    """Take so many elements of each axis; -1 takes all that are left."""
    for axis, (start, length) in enumerate(zip(begin, size, strict=True)):
        start = start % x.shape[axis] if x.shape[axis] else 0  # noqa: PLW2901  from the end
        x = x.narrow(axis, start, x.shape[axis] - start if length == -1 else length)
    return x


@op("gather", narrow=True)
def gather(
    x: Tensor, indices: Tensor, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False
) -> Tensor:
    """Take the slices of an axis that the indices name."""
    if batch_dims:
        raise UnsupportedError("gather with batch dimensions")
    axis, index = axis % x.ndim, _from_start(indices, x.shape[axis])
    taken = x.index_select(axis, index.reshape(-1))
    return taken.reshape((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


@op("gather_along_axis", narrow=True)
def gather_along_axis(
    x: Tensor, indices: Tensor, axis: int = 0, validate_indices: bool = False
) -> Tensor:
    """Take elements of an axis, each place its own."""
    return torch.take_along_dim(x, _from_start(indices, x.shape[axis]), axis)


@op("gather_nd", narrow=True)
def gather_nd(
    x: Tensor, indices: Tensor, batch_dims: int = 0, validate_indices: bool = False
) -> Tensor:
    """Take the slices whose leading indices lie along the last axis of ``indices``."""
    if batch_dims:
        raise UnsupportedError("gather_nd with batch dimensions")
    return x[tuple(indices.long().unbind(-1))]


@op("scatter_nd", narrow=True)
def scatter_nd(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    mode: str = "add",
    validate_indices: bool = False,
) -> Tensor:
    """Put or add slices at places."""
    if mode not in ("add", "update"):
        raise UnsupportedError(f"scatter_nd by {mode}")
    place = tuple(indices.long().unbind(-1))
    return data.index_put(place, updates, accumulate=mode == "add")


@op("one_hot")
def one_hot(
    indices: Tensor,
    one_hot_vector_size: int,
    axis: int = -1,
    on_value: float = 1.0,
    off_value: float = 0.0,
) -> Tensor:
    """Return on_value at the index along a new axis, off_value elsewhere."""
    hot = F.one_hot(indices.long(), one_hot_vector_size).movedim(-1, axis)
    return torch.where(hot.bool(), on_value, off_value)


def _index(
    x: Tensor,
    begin: list[int],
    end: list[int],
    stride: list[int] | None,
    begin_mask: list[bool] | None,
    end_mask: list[bool] | None,
    squeeze_mask: list[bool] | None,
) -> tuple[slice | int | Tensor, ...]:
    count = x.ndim
    none = [False] * count
    starts, stops, squeezed = begin_mask or none, end_mask or none, squeeze_mask or none
    found: list[slice | int | Tensor] = []
    for axis in range(count):
        step = (stride or [1] * count)[axis]
        start = None if starts[axis] else begin[axis]
        stop = None if stops[axis] else end[axis]
        if squeezed[axis]:
            found.append(begin[axis])
        elif step < 0:  # PyTorch's slices only go forwards
            places = range(*slice(start, stop, step).indices(x.shape[axis]))
            found.append(_open(torch.tensor(list(places)), axis, count))
        else:
            found.append(slice(start, stop, step))
    return tuple(found)


def _open(places: Tensor, axis: int, rank: int) -> Tensor:
    if axis != rank - 1:
        raise UnsupportedError("slices that go backwards along another axis than the last")
    return places


def _from_start(indices: Tensor, length: int) -> Tensor:
    index = indices.long()
    return torch.where(index < 0, index + length, index)
