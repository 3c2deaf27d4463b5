"""Rounding of a layer's weights to Core ML's formats, and the bytes they then take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinysr.export.model.baked import MatMulLinear
from tinysr.export.plans.quantization import Format

from .palette import make_lookup

__all__ = [
    "PALETTES",
    "count_stored_bits",
    "list_formats",
    "palette_group",
    "put_output_first",
    "round_weight",
]

PALETTES: dict[Format, int] = {"w6": 6, "w4": 4}
"""Formats whose weights are indices of so many bits."""

_ALL: tuple[Format, ...] = ("w4", "w6", "w8")
"""Formats of weights, from the smallest on."""

_HALF = 16
"""Bits of a weight that is not compressed, of a palette's colour and of a scale."""

_SMALL = 2**18
"""Weights of a layer whose size hardly counts, so that in 4 bits each output has a palette."""

_SHARED = 3072
"""Weights that share a palette at least elsewhere: it then takes 2 % of what its indices do."""

_INT8_MAX = 127


def palette_group(form: str, shape: tuple[int, ...]) -> int:
    """Return how many outputs share a palette: a divisor of their number.

    Args:
        form: w6 or w4.
        shape: of the weight, outputs first.
    """
    outputs, each = shape[0], math.prod(shape[1:])
    if form == "w4" and outputs * each < _SMALL:
        return 1
    fitting = (n for n in range(1, outputs) if outputs % n == 0 and n * each >= _SHARED)
    return next(fitting, outputs)


def round_weight(layer: nn.Module, form: Format) -> Tensor:
    """Return a layer's weight as a package in fp16 computes with it, in the layer's own layout.

    Args:
        layer: a convolution or linear, in fp32.
        form: w8, w6 or w4.
    """
    exact = put_output_first(layer)
    half = exact.half()
    weight = (half if torch.isfinite(half).all() else exact).numpy()  # or it is kept in fp32
    round_ = _round_linear if form == "w8" else _round_to_palettes
    found = torch.from_numpy(round_(weight, form)).float()
    return found.T.contiguous() if isinstance(layer, MatMulLinear) else found


def count_stored_bits(layer: nn.Module, form: Format | None) -> int:
    """Return the bits that a layer's weight takes, palettes and scales included.

    Args:
        layer: a convolution or linear.
        form: w8, w6 or w4; None is fp16.
    """
    shape = tuple(put_output_first(layer).shape)
    count = math.prod(shape)
    if form is None:
        return _HALF * count
    if form == "w8":
        return 8 * count + _HALF * shape[0]
    bits = PALETTES[form]
    palettes = shape[0] // palette_group(form, shape)
    return bits * count + palettes * (_HALF << bits)


def list_formats(layer: nn.Module, form: Format) -> tuple[Format, ...]:
    """Return the formats that a layer may have in a plan, each larger than the one before.

    Args:
        layer: a convolution or linear.
        form: the plan's; fewer bits are not tried. A format that takes as much as one of more bits
            is left out, as palettes do in small layers.
    """
    tried = [*_ALL[_ALL.index(form) :]]
    sizes = {f: count_stored_bits(layer, f) for f in tried} | {None: count_stored_bits(layer, None)}
    order = list(sizes.values())
    return tuple(f for i, f in enumerate(tried) if sizes[f] < min(order[i + 1 :]))


def put_output_first(layer: nn.Module) -> Tensor:
    """Return a layer's weight as packages have it, ``[outputs, …]``."""
    weight = layer.get_parameter("weight").detach()
    return weight.T.contiguous() if isinstance(layer, MatMulLinear) else weight


def _round_linear(weight: NDArray[Any], _: Format) -> NDArray[Any]:
    """Round to integers from -127 to 127, with a scale for each output."""
    rows = weight.reshape(len(weight), -1)
    scale = np.abs(rows).max(1, keepdims=True) / rows.dtype.type(_INT8_MAX)
    scale[scale == 0] = 1
    integers = np.clip(np.around(rows / scale), -_INT8_MAX, _INT8_MAX)
    found: NDArray[Any] = (integers * scale).astype(weight.dtype).reshape(weight.shape)
    return found


def _round_to_palettes(weight: NDArray[Any], form: Format) -> NDArray[Any]:
    return np.concatenate(list(_round_groups(weight, form)))


def _round_groups(weight: NDArray[Any], form: Format) -> Iterator[NDArray[Any]]:
    group, entries = palette_group(form, weight.shape), make_lookup(PALETTES[form])
    for start in range(0, len(weight), group):
        part = weight[start : start + group]
        colours, indices = entries(part)
        yield colours[indices].reshape(part.shape)
