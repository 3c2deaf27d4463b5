"""A model that computes in fp32 what its quantized graph computes in integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from tinysr.export.model.integers import INT8_MAX
from tinysr.export.plans.quantization import Format
from tinysr.models.sharing import copy_tree

from ..schemes import ONNX, Scheme

__all__ = ["fake_quantize"]

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def fake_quantize(
    model: M,
    formats: Mapping[str, Format],
    ranges: Mapping[str, float],
    scheme: Scheme = ONNX,
) -> M:
    """Return a copy whose layers see rounded weights and, in int8, rounded inputs.

    Args:
        model: baked, in fp32.
        formats: of the layers that are quantized, by their paths.
        ranges: largest inputs of the layers in int8.
        scheme: whose formats they are.
    """
    model = copy_tree(model)
    for path, form in formats.items():
        layer = model.get_submodule(path)
        layer.weight = nn.Parameter(scheme.rounded(layer, form), requires_grad=False)
        if form == "int8":
            layer.register_forward_pre_hook(_make_rounding(ranges[path] / INT8_MAX))
    return model


def _make_rounding(scale: float) -> Any:
    def hook(_: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        # QuantizeLinear rounds half to even, as torch does, and its lowest integer is -128.
        return ((inputs[0] / scale).round().clamp(-INT8_MAX - 1, INT8_MAX) * scale,)

    return hook
