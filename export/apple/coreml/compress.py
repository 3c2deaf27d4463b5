"""Weights in 8, 6 and 4 bits, layer by layer as a plan says; the graph stays as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from tinysr.errors import UnsupportedError
from tinysr.export.plans.quantization import Format

from .narrow import list_traced_paths, module_of
from .palette import make_lookup
from .rounding import PALETTES, palette_group
from .tools import coremltools, silence_coremltools

__all__ = ["COMPRESSED", "PALETTES_SINCE", "compress"]

COMPRESSED: tuple[Format, ...] = ("w8", *PALETTES)
"""Precisions of weights alone; w8 is linear, with a scale per output."""

PALETTES_SINCE = "iOS18"
"""Deployment target since which a palette may belong to a group of channels, not a whole layer."""

_ANY = 1
"""The plan's layers were chosen by their size before."""


def compress(model: Any, function: nn.Module, formats: Mapping[str, Format], name: str) -> Any:
    """Return a converted model with its weights compressed.

    Args:
        model: a ``coremltools.models.MLModel`` that was just converted.
        function: what it was converted from.
        formats: by a layer's path, w8, w6 or w4; layers of other functions are left out.
        name: the function's, for messages.

    Raises:
        UnsupportedError: a layer of the function has no weight of its own in the converted graph.
    """
    optimize: Any = coremltools().optimize.coreml
    palettes, linear = {}, {}
    for weight, form in _plan_constants(model, function, formats, name):
        if form in PALETTES:
            palettes[weight.name] = optimize.OpPalettizerConfig(
                mode="custom",
                lut_function=make_lookup(PALETTES[form]),
                granularity="per_grouped_channel",
                group_size=palette_group(form, weight.outputs[0].shape),
                channel_axis=0,
                weight_threshold=_ANY,
            )
        else:
            linear[weight.name] = optimize.OpLinearQuantizerConfig(
                mode="linear_symmetric", dtype="int8", weight_threshold=_ANY
            )
    with silence_coremltools():
        if palettes:
            chosen = optimize.OptimizationConfig(op_name_configs=palettes)
            model = optimize.palettize_weights(model, chosen)
        if linear:
            chosen = optimize.OptimizationConfig(op_name_configs=linear)
            model = optimize.linear_quantize_weights(model, chosen)
    return model


def _plan_constants(
    model: Any, function: nn.Module, formats: Mapping[str, Format], name: str
) -> list[tuple[Any, Format]]:
    """Return the constants that a plan compresses, and what each becomes."""
    weights = _find_weights(model, function)
    inside = {path for path, _ in function.named_modules()}
    own = {path: form for path, form in formats.items() if path in inside}
    for path, form in own.items():
        if path not in weights:
            raise UnsupportedError(
                f"coreml/{name}: expected the weight of '{path}' in the converted graph, found "
                f"none that can be in {form}: keep the layer in fp16 in the plan"
            )
    return [(weights[path], form) for path, form in own.items()]


def _find_weights(model: Any, function: nn.Module) -> dict[str, Any]:
    """Return the constants that are layers' weights, ``[outputs, …]``, by the layer's path."""
    paths = list_traced_paths(function)
    found = {}
    for main in model._mil_program.functions.values():  # it has no public name
        for op in main.operations:
            weight = op.inputs.get("weight")
            if op.op_type in ("conv", "linear") and weight is not None:
                found[module_of(op, paths)] = weight.op
    return {path: op for path, op in found.items() if op.op_type == "const"}
