"""RRDBNet: the generator of ESRGAN and Real-ESRGAN, ×4, in plain PyTorch.

Residual-in-residual dense blocks, no norm (Wang et al. 2018, section 3.1). Key names are those of
the released weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DENSE", "LEAK", "RESIDUAL", "RRDBNet", "RRDBNetConfig"]

LEAK = 0.2
"""Slope of every LeakyReLU below zero."""

RESIDUAL = 0.2
"""Factor of what a dense block, and a block of three of them, adds to its input."""

DENSE = 5
"""Convolutions in a dense block."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RRDBNetConfig:
    """The sizes of a network."""

    features: int = 64
    """Channels between blocks."""
    growth: int = 32
    """Channels that each convolution of a dense block adds."""
    blocks: int = 23
    """Blocks of three dense blocks each."""


class RRDBNet(nn.Module):
    """An image, four times larger and sharp."""

    def __init__(self, shape: RRDBNetConfig) -> None:
        super().__init__()
        self.shape, features = shape, shape.features
        self.conv_first = _conv(3, features)
        self.body = nn.Sequential(*(_Block(shape) for _ in range(shape.blocks)))
        self.conv_body = _conv(features, features)
        self.conv_up1 = _conv(features, features)
        self.conv_up2 = _conv(features, features)
        self.conv_hr = _conv(features, features)
        self.conv_last = _conv(features, 3)

    def forward(self, low: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1] to ``[N, 3, 4H, 4W]``, about [0, 1], unclamped."""
        first = self.conv_first(low)
        x = first + self.conv_body(self.body(first))
        for conv in (self.conv_up1, self.conv_up2):
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2.0, mode="nearest")), LEAK)
        image: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(x), LEAK))
        return image


class _Block(nn.Module):
    def __init__(self, shape: RRDBNetConfig) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (_Dense(shape) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return y * RESIDUAL + x


class _Dense(nn.Module):
    """Five convolutions, each of which sees the results of all before it."""

    def __init__(self, shape: RRDBNetConfig) -> None:
        super().__init__()
        features, growth = shape.features, shape.growth
        for index in range(DENSE):
            outputs = features if index == DENSE - 1 else growth
            self.add_module(f"conv{index + 1}", _conv(features + index * growth, outputs))

    def forward(self, x: Tensor) -> Tensor:
        *inner, last = self.children()
        known = x
        for conv in inner:
            known = torch.cat([known, F.leaky_relu(conv(known), LEAK)], dim=1)
        y: Tensor = last(known)
        return y * RESIDUAL + x


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, 1, 1)
