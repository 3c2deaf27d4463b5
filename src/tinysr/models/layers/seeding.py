"""Seeded weights for these layers: a stand-in where no trained ones are public.

Every random number is a scaled uniform one, which all processors round alike. Scales keep
activations near one from end to end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from tinysr.models.layers import sd3
from tinysr.models.layers.autoencoder_kl import PixelAttention
from tinysr.models.layers.resnet import Resnet
from tinysr.models.layers.sd3_text import TextBlock
from tinysr.models.layers.spatial_transformer import Attention, FeedForward, SpatialTransformer

__all__ = ["AFTER_SILU", "draw_normal", "find_sd3_gains", "seed_layers"]

AFTER_SILU = 1 / 0.6
"""Gain of what reads a unit normal through SiLU, which leaves 0.6 of its size."""

_BRANCH = 0.5
"""Size of what a residual branch adds: at one, deep random nets are chaotic."""

_BIAS = 0.05
_NORM = 0.1
"""Standard deviations of the biases, and of the norms' weights around one."""

_AFTER_GATE = 1 / 0.65
"""Gain of what reads a unit normal that an exact GELU gates."""

_AFTER_SOFTMAX = 2.0
"""Gain of what reads the means of many tokens."""

_AFTER_TANH_GELU = 1.5
"""Gain of what reads a unit normal through GELU, which leaves 0.65 of its size."""

_MODULATION = 0.4
"""Standard deviation of scales, shifts and gates."""

_CONDITIONING = 0.45
"""Part that SiLU leaves of the conditioning."""


def seed_layers(
    model: nn.Module, generator: torch.Generator, gains: Mapping[str, float] | None = None
) -> None:
    """Fill all parameters of a model in place.

    Args:
        model: of these layers, its tensors on the CPU.
        generator: where the numbers are from.
        gains: of weights by the names of their modules, where they differ from the layers' own.
    """
    known = dict(_find_gains(model)) | dict(find_sd3_gains(model)) | dict(gains or {})
    with torch.no_grad():
        for name, module in model.named_modules():
            for kind, tensor in module.named_parameters(recurse=False):
                if kind == "bias":
                    _fill_uniform(tensor, _BIAS, generator)
                elif isinstance(module, nn.GroupNorm | nn.LayerNorm | nn.RMSNorm):
                    _fill_uniform(tensor, _NORM, generator)
                    tensor.add_(1)
                else:
                    spread = known.get(name, 1.0) / math.sqrt(tensor[0].numel())
                    _fill_uniform(tensor, spread, generator)


def find_sd3_gains(model: nn.Module) -> Iterator[tuple[str, float]]:
    """Yield the names of SD3's modules whose weights need another gain than one, and the gain."""
    for name, module in model.named_modules():
        if isinstance(module, sd3.Modulation):
            yield f"{name}.linear", _MODULATION / _CONDITIONING
        elif isinstance(module, sd3.Attention):
            yield f"{name}.to_out.0", _AFTER_SOFTMAX
        elif isinstance(module, TextBlock):
            yield f"{name}.attn.to_add_out", _AFTER_SOFTMAX
        elif isinstance(module, sd3.FeedForward):
            yield f"{name}.net.2", _AFTER_TANH_GELU


def draw_normal(count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` nearly normal numbers: sums of 12 uniform ones, exact in float64."""
    return torch.rand(12, count, generator=generator).double().sum(0) - 6


def _find_gains(model: nn.Module) -> Iterator[tuple[str, float]]:
    """Yield the names of the modules whose weights need another gain than one, and the gain."""
    for name, module in model.named_modules():
        if isinstance(module, Resnet):
            yield f"{name}.conv1", AFTER_SILU
            yield f"{name}.conv2", _BRANCH * AFTER_SILU
        elif isinstance(module, Attention | PixelAttention):
            yield f"{name}.to_out.0", _BRANCH * _AFTER_SOFTMAX
        elif isinstance(module, FeedForward):
            yield f"{name}.net.2", _BRANCH * _AFTER_GATE
        elif isinstance(module, SpatialTransformer):
            yield f"{name}.proj_out", _BRANCH


def _fill_uniform(tensor: Tensor, std: float, generator: torch.Generator) -> None:
    bound = std * math.sqrt(3)
    tensor.uniform_(-bound, bound, generator=generator)
