"""Gated convolutions and linear attention, as Sana's transformer and autoencoder have them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ChannelNorm", "GluMbConv", "attend_linearly"]

_EPS = 1e-5
"""Epsilon of the norms by the mean square."""

_LEAST = 1e-15
"""Addend of the sum of attention's weights, which may all be zero."""


class ChannelNorm(nn.RMSNorm):
    """A norm by the mean square of an image's channels, with a weight and a bias for each."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, _EPS)
        self.bias = nn.Parameter(self.weight.new_zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, channels, H, W]`` to the same shape."""
        y = super().forward(x.permute(0, 2, 3, 1)) + self.bias
        return y.permute(0, 3, 1, 2)


class GluMbConv(nn.Module):
    """1×1 to twice the hidden channels, SiLU, 3×3 on each, one half gated by the other, 1×1."""

    def __init__(self, width: int, hidden: int, *, norm: bool) -> None:
        """Make the convolutions.

        Args:
            width: channels outside.
            hidden: channels inside, behind the gate.
            norm: whether a norm follows.
        """
        super().__init__()
        self.conv_inverted = nn.Conv2d(width, 2 * hidden, 1)
        self.conv_depth = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden)
        self.conv_point = nn.Conv2d(hidden, width, 1, bias=False)
        self.norm = ChannelNorm(width) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        value, gate = self.conv_depth(F.silu(self.conv_inverted(x))).chunk(2, dim=1)
        y: Tensor = self.conv_point(value * F.silu(gate))
        return y if self.norm is None else self.norm(y)


def attend_linearly(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return the values' means, weighed by ReLU(q)·ReLU(k) (Sana, equation 2).

    The products of keys and values come first, so that the cost grows as the number of places.

    Args:
        q: queries ``[N, heads, D, L]``.
        k: keys, likewise.
        v: values, likewise.
    """
    ones = F.pad(v, (0, 0, 0, 1), value=1.0)  # their weighted sum is that of the weights
    sums = (ones @ F.relu(k).transpose(2, 3)) @ F.relu(q)
    return sums[:, :, :-1] / (sums[:, :, -1:] + _LEAST)
