"""Schemes: how a target rounds weights, as far as the search for a plan needs to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from tinysr.export.apple.coreml.prepare import prepare
from tinysr.export.apple.coreml.rounding import count_stored_bits, list_formats, round_weight
from tinysr.export.model.baked import Baked
from tinysr.export.model.integers import quantize_layer
from tinysr.export.plans.quantization import Format, PlanTarget

__all__ = ["ONNX", "SCHEMES", "Scheme"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """A target's formats."""

    target: PlanTarget
    form: Callable[[Baked], Baked]
    """Gives the model the form whose layers are rounded."""
    rounded: Callable[[nn.Module, Format], Tensor]
    """A layer's weight as it is computed with, in the layer's layout."""
    ladder: Callable[[nn.Module, Format], tuple[Format, ...]]
    """The formats that a layer may have in a plan, from the smallest on."""
    cost: Callable[[nn.Module, Format, Format | None], float]
    """Cost of a larger format for a layer; None is no rounding at all."""


_ONNX_LADDERS: dict[Format, tuple[Format, ...]] = {
    "int8": ("int8",),
    "w8": ("w8",),
    "w4": ("w4", "w8"),
}


def _dequantize(layer: nn.Module, form: Format) -> Tensor:
    return quantize_layer(layer, form).dequantize()


def _count_more_bits(layer: nn.Module, form: Format, larger: Format | None) -> float:
    return count_stored_bits(layer, larger) - count_stored_bits(layer, form)


ONNX = Scheme(
    target="onnx",
    form=lambda model: model,
    rounded=_dequantize,
    ladder=lambda _, form: _ONNX_LADDERS[form],
    cost=lambda *_: 1.0,  # the fewest layers are kept
)

SCHEMES: dict[PlanTarget, Scheme] = {
    "onnx": ONNX,
    "coreml": Scheme(
        target="coreml",
        form=prepare,  # it reorders outputs, which then share other palettes
        rounded=round_weight,
        ladder=list_formats,
        cost=_count_more_bits,  # the smallest package
    ),
}
