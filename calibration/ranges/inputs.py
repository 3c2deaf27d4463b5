"""Inputs of layers: the ranges that int8 may be made with, and the channels that stand out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinysr.export.model.baked import Baked, make_batch
from tinysr.export.model.baked_transformer import MatMulLinear
from tinysr.export.model.integers import INT8_MAX, find_layers
from tinysr.progress import Progress

from .histogram import BINS, Counts, bin_edges, percentile, see
from .images import CalibrationImage

__all__ = ["METHODS", "LayerInput", "measure_layer_inputs"]

_PERCENT = 99.99

_STEPS = 64
"""Ranges that are tried for the smallest mean squared error."""


@dataclass(kw_only=True, slots=True)
class LayerInput:
    """The values that a layer read on all images."""

    absmax: float
    channels: NDArray[np.float64]
    """The largest value in each input channel."""
    counts: Counts
    """A histogram of sizes: :mod:`.histogram`."""


def measure_layer_inputs(
    model: Baked, images: Sequence[CalibrationImage], progress: Progress | None = None
) -> dict[str, LayerInput]:
    """Run a model in fp32, image by image, and see what its layers read.

    Raises:
        ImageError: an image can't be read.
    """
    seen: dict[str, LayerInput] = {}
    hooks = [
        layer.register_forward_pre_hook(_make_hook(path, seen))
        for path, layer in find_layers(model).items()
    ]
    try:
        for done, entry in enumerate(images):
            if progress:
                progress(f"inputs of layers on {entry.name}", done, len(images))
            with torch.inference_mode():
                model(make_batch(model.chain, entry.load().pixels))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _make_hook(path: str, seen: dict[str, LayerInput]) -> Any:
    def hook(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        value = inputs[0]
        axis = 1 if isinstance(layer, nn.Conv2d) else value.ndim - 1
        others = tuple(dim for dim in range(value.ndim) if dim != axis)
        channels = value.abs().amax(others).double().numpy()
        found = see(value.contiguous())
        old = seen.get(path)
        if old is None:
            counts = np.zeros(BINS, np.int64)
            old = seen[path] = LayerInput(absmax=0.0, channels=channels, counts=counts)
        old.absmax = max(old.absmax, found.absmax)
        old.channels = np.maximum(old.channels, channels)
        old.counts = old.counts + found.counts

    return hook


def _min_max(seen: LayerInput) -> float:
    return seen.absmax


def _percentile(seen: LayerInput) -> float:
    return min(percentile(seen.counts, _PERCENT), seen.absmax)


def _least_error(seen: LayerInput) -> float:
    """Return the range with the least mean squared error, from the histogram.

    A value inside is off by a step's uniform error, one outside by what is cut off.
    """
    inside = seen.counts > 0
    edges = np.append(bin_edges(), np.inf)
    with np.errstate(invalid="ignore"):
        middles = np.minimum((edges[:-1] + edges[1:]) / 2, seen.absmax)[inside]
    counts = seen.counts[inside]
    best, least = seen.absmax, np.inf
    for tried in seen.absmax * 2 ** -(np.arange(_STEPS) / 8):
        step = tried / INT8_MAX
        errors = np.where(middles <= tried, step**2 / 12, (middles - tried) ** 2)
        # A value under half a step becomes zero: it is off by itself.
        errors = np.where(middles < step / 2, middles**2, errors)
        error = float((errors * counts).sum())
        if error < least:
            best, least = float(tried), error
    return best


METHODS: Mapping[str, Callable[[LayerInput], float]] = {
    "min-max": _min_max,
    f"percentile {_PERCENT:g}": _percentile,
    "least squared error": _least_error,
}
"""Methods that choose a range from what a layer read."""


def exponents(seen: LayerInput, layer: nn.Module) -> tuple[int, ...]:
    """Return the powers of two that bring a layer's input channels closer to one size.

    A channel is divided by the square root of what it reaches over what the weights that read it
    reach (SmoothQuant, arXiv 2211.10438, at a strength of one half), relative to the mean.
    """
    weight = layer.get_parameter("weight").detach().abs()
    axis = 0 if isinstance(layer, MatMulLinear) else 1
    others = tuple(dim for dim in range(weight.ndim) if dim != axis)
    reads = np.maximum(weight.amax(others).double().numpy(), 1e-12)
    logs = np.log2(np.maximum(seen.channels, 1e-12) / reads) / 2
    return tuple(int(e) for e in np.clip(np.round(logs - logs.mean()), -8, 8))
