"""Reductions along axes. Sums are made in fp32; the result is rounded."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..table import op

__all__ = ["argsort", "cumsum", "reduce_argmax", "reduce_argmin", "reduce_prod", "topk"]

Reduce = Callable[[Tensor, list[int], bool], Tensor]

_REDUCTIONS: dict[str, Reduce] = {
    "reduce_l1_norm": lambda x, axes, keep: x.abs().sum(axes, keep),
    "reduce_l2_norm": lambda x, axes, keep: x.square().sum(axes, keep).sqrt(),
    "reduce_log_sum": lambda x, axes, keep: x.sum(axes, keep).log(),
    "reduce_log_sum_exp": lambda x, axes, keep: x.logsumexp(axes, keep),
    "reduce_max": lambda x, axes, keep: x.amax(axes, keep),
    "reduce_mean": lambda x, axes, keep: _float(x).mean(axes, keep),
    "reduce_min": lambda x, axes, keep: x.amin(axes, keep),
    "reduce_sum": lambda x, axes, keep: x.sum(axes, keep),
    "reduce_sum_square": lambda x, axes, keep: x.square().sum(axes, keep),
}


def _float(x: Tensor) -> Tensor:
    return x if x.is_floating_point() else x.float()


def _enter(name: str, reduce: Reduce) -> None:
    @op(name)
    def reduction(x: Tensor, axes: list[int] | None = None, keep_dims: bool = False) -> Tensor:
        return reduce(x, list(range(x.ndim)) if axes is None else axes, keep_dims)


for _name, _reduce in _REDUCTIONS.items():
    _enter(_name, _reduce)


@op("reduce_prod")
def reduce_prod(x: Tensor, axes: list[int] | None = None, keep_dims: bool = False) -> Tensor:
    """Multiply along axes."""
    order = range(x.ndim) if axes is None else axes
    for axis in sorted((a % x.ndim for a in order), reverse=True):
        x = x.prod(axis, keep_dims)
    return x


@op("reduce_argmax")
def reduce_argmax(
    x: Tensor, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32"
) -> Tensor:
    """Return where the largest value of an axis is."""
    return x.argmax(axis, keep_dims)


@op("reduce_argmin")
def reduce_argmin(
    x: Tensor, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32"
) -> Tensor:
    """Return where the smallest value of an axis is."""
    return x.argmin(axis, keep_dims)


@op("argsort")
def argsort(x: Tensor, axis: int = -1, ascending: bool = False) -> Tensor:
    """Return the order of an axis, largest first unless it ascends."""
    return torch.argsort(x, dim=axis, descending=not ascending, stable=True)


@op("cumsum")
def cumsum(x: Tensor, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Add up along an axis, from its end when reversed, without the element when exclusive."""
    along = x.flip(axis) if reverse else x
    total = along.cumsum(axis)
    if exclusive:
        total = total - along
    return total.flip(axis) if reverse else total


@op("topk")
def topk(
    x: Tensor,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: str = "int32",
) -> tuple[Tensor, ...]:
    """Return the k largest values of an axis (smallest when ascending), and where they are."""
    values, indices = torch.topk(x, k, axis, largest=not ascending, sorted=sort)
    return (values, indices) if return_indices else (values,)
