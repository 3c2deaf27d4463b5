"""Norms written out: moments, squares and scale, step by step.

The smallest square that overflows fp16 is that of 255.9: a norm whose input lies further than that
from its mean has infinite variance there, and gives zeros, which look like any other result.

A norm over channels adds up hundreds of values, and some runtimes do that in halves: its sums are
steps. A norm over an image adds up so many that no runtime can: from 2048 times its own size on, a
sum in halves takes in no further value. Those sums are taken as accumulated in fp32, as in a
convolution, and means as rounded once.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .steps import OUTPUT, Step, WrittenOut

__all__ = ["NORMS"]


def _layer_norm(  # noqa: PLR0917  the operation's own order
    step: Step,
    x: Tensor,
    shape: list[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> tuple[Tensor]:
    dims = tuple(range(-len(shape), 0))
    count = math.prod(shape)
    mean = step("mean", step("sum", x.sum(dims, keepdim=True)) / count)
    centred = step("centred", x - mean)
    squared_sum = step("squared sum", step("square", centred * centred).sum(dims, keepdim=True))
    variance = step("variance", squared_sum / count)
    scale = step("scale", torch.rsqrt(variance + eps))
    return (_apply_affine(step, centred * scale, weight, bias),)


def _group_norm(  # noqa: PLR0917  the operation's own order
    step: Step,
    x: Tensor,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    grouped = x.reshape(x.shape[0], groups, -1)
    normed = _normalise_image(step, grouped, eps).reshape(x.shape)
    return _apply_affine(step, normed, _per_channel(weight, x), _per_channel(bias, x))


def _instance_norm(
    step: Step, x: Tensor, weight: Tensor | None, bias: Tensor | None, *rest: Any
) -> Tensor:
    _, _, own_statistics, _, eps, _ = rest  # the stored ones, how they are kept, and cuDNN
    if not own_statistics:
        raise ValueError("expected an instance norm of the image's own statistics")
    normed = _normalise_image(step, x.flatten(2), eps).reshape(x.shape)
    return _apply_affine(step, normed, _per_channel(weight, x), _per_channel(bias, x))


def _rms_norm(
    step: Step,
    x: Tensor,
    shape: list[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    dims = tuple(range(-len(shape), 0))
    squared_sum = step("squared sum", step("square", x * x).sum(dims, keepdim=True))
    mean = step("mean square", squared_sum / math.prod(shape))
    least = torch.finfo(torch.float32).eps if eps is None else eps
    scale = step("scale", torch.rsqrt(mean + least))
    return _apply_affine(step, x * scale, weight, None)


def _batch_norm(  # noqa: PLR0917  the operation's own order
    step: Step,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor]:
    sides = (-1, *([1] * (x.ndim - 2)))
    centred = step("centred", x - mean.reshape(sides))
    scale = step("scale", torch.rsqrt(variance.reshape(sides) + eps))
    weight, bias = _per_channel(weight, x), _per_channel(bias, x)
    return (_apply_affine(step, centred * scale, weight, bias),)


def _normalise_image(step: Step, x: Tensor, eps: float) -> Tensor:
    """Bring the mean over the last dimension to 0 and the variance to 1."""
    centred = step("centred", x - step("mean", x.mean(-1, keepdim=True)))
    variance = step("variance", step("square", centred * centred).mean(-1, keepdim=True))
    return centred * step("scale", torch.rsqrt(variance + eps))


def _apply_affine(step: Step, normed: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Multiply and add; what comes last is the output."""
    if weight is not None:
        normed = step("normed", normed) * weight
    if bias is not None:
        normed = step("gained", normed) + bias
    return step(OUTPUT, normed)


def _per_channel(values: Tensor | None, x: Tensor) -> Tensor | None:
    """Lay out one value per channel for ``[N, C, *D]``."""
    return None if values is None else values.reshape(-1, *([1] * (x.ndim - 2)))


_ATEN = torch.ops.aten

_IMAGE_LABELS = ("mean", "centred", "square", "variance", "scale")

NORMS: dict[Any, WrittenOut] = {
    _ATEN.native_layer_norm.default: WrittenOut(
        name="layer_norm",
        labels=("sum", "mean", "centred", "square", "squared sum", "variance", "scale"),
        compute=_layer_norm,
        affine={2: "normed", 3: "gained"},
    ),
    _ATEN.group_norm.default: WrittenOut(
        name="group_norm",
        labels=_IMAGE_LABELS,
        compute=_group_norm,
        affine={2: "normed", 3: "gained"},
    ),
    _ATEN.instance_norm.default: WrittenOut(
        name="instance_norm",
        labels=_IMAGE_LABELS,
        compute=_instance_norm,
        affine={1: "normed", 2: "gained"},
    ),
    _ATEN.rms_norm.default: WrittenOut(
        name="rms_norm",
        labels=("square", "squared sum", "mean square", "scale"),
        compute=_rms_norm,
        affine={2: "normed"},
    ),
    _ATEN._native_batch_norm_legit_no_training.default: WrittenOut(
        name="batch_norm",
        labels=("centred", "scale"),
        compute=_batch_norm,
        affine={1: "normed", 2: "gained"},
    ),
}
"""Norms that are written out, by the operation."""
