"""Weights in 8, 6 and 4 bits, layer by layer as a plan says; the graph stays as it was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from .narrow import module_of, traced_paths
from .palette import lookup
from .tools import coremltools, quiet

__all__ = ["COMPRESSED", "PALETTES", "PALETTES_SINCE", "compressed"]

PALETTES = {"w6": 6, "w4": 4}
"""Precisions whose weights are indices of so many bits."""

COMPRESSED = ("w8", *PALETTES)
"""Precisions of weights alone; w8 is linear, with a scale per output."""

PALETTES_SINCE = "iOS18"
"""From here on a palette may be that of a group of channels, and not of a whole layer."""

_ANY = 1
"""The plan's layers were chosen by their size before."""

_SMALL = 2**18
"""Weights of a layer whose size hardly counts, so that in 4 bits each output has a palette."""

_AS_LARGE = 64
"""Weights of an output whose 16 colours in fp16, beside their indices, take 8 bits a weight."""

_SHARED = 3072
"""Weights that share a palette at least elsewhere: it then takes 2 % of what its indices do."""


def compressed(model: Any, function: nn.Module, formats: Mapping[str, str]) -> Any:
    """Return a converted model with its weights compressed.

    Args:
        model: a ``coremltools.models.MLModel`` that was just converted.
        function: what it was converted from.
        formats: by a layer's path, w8, w6 or w4; layers of other functions are left out.
    """
    optimize: Any = coremltools().optimize.coreml
    palettes, linear = {}, {}
    for path, weight in _weights(model, function).items():
        form = _form(formats.get(path), weight.outputs[0].shape)
        if form in PALETTES:
            palettes[weight.name] = optimize.OpPalettizerConfig(
                mode="custom",
                lut_function=lookup(PALETTES[form]),
                granularity="per_grouped_channel",
                group_size=_group(form, weight.outputs[0].shape),
                channel_axis=0,
                weight_threshold=_ANY,
            )
        elif form == "w8":
            linear[weight.name] = optimize.OpLinearQuantizerConfig(
                mode="linear_symmetric", dtype="int8", weight_threshold=_ANY
            )
    with quiet():
        if palettes:
            chosen = optimize.OptimizationConfig(op_name_configs=palettes)
            model = optimize.palettize_weights(model, chosen)
        if linear:
            chosen = optimize.OptimizationConfig(op_name_configs=linear)
            model = optimize.linear_quantize_weights(model, chosen)
    return model


def _weights(model: Any, function: nn.Module) -> dict[str, Any]:
    """Return the constants that are layers' weights, ``[outputs, …]``, by the layer's path."""
    paths = traced_paths(function)
    found = {}
    for main in model._mil_program.functions.values():  # it has no public name
        for op in main.operations:
            weight = op.inputs.get("weight")
            if op.op_type in ("conv", "linear") and weight is not None:
                found[module_of(op, paths)] = weight.op
    return {path: op for path, op in found.items() if op.op_type == "const"}


def _form(form: str | None, shape: tuple[int, ...]) -> str | None:
    """Return the format; 8 bits where palettes of their own would take as much."""
    each = math.prod(shape[1:])
    small = shape[0] * each < _SMALL
    return "w8" if form == "w4" and small and each <= _AS_LARGE else form


def _group(form: str, shape: tuple[int, ...]) -> int:
    """Return how many output channels share a palette: a divisor of their number."""
    channels, each = shape[0], math.prod(shape[1:])
    if form == "w4" and channels * each < _SMALL:
        return 1
    fitting = (n for n in range(1, channels) if channels % n == 0 and n * each >= _SHARED)
    return next(fitting, channels)
