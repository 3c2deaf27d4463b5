"""Residual blocks of convolutions and changes of size, as in Stable Diffusion's two networks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Double", "Groups", "Halve", "Resnet", "group_norm"]

Groups = tuple[int, ...]
"""Numbers of groups in the order in which they are tried: the first that divides the channels."""


def group_norm(groups: Groups, channels: int, eps: float) -> nn.GroupNorm:
    """Return a norm of the first number of groups that divides its channels.

    Raises:
        ValueError: none does.
    """
    for count in groups:
        if channels % count == 0:
            return nn.GroupNorm(count, channels, eps)
    raise ValueError(f"expected channels that divide into {groups} groups, found {channels}")


class Resnet(nn.Module):
    """norm, SiLU, conv, plus the time's part, norm, SiLU, conv, plus the input."""

    def __init__(
        self, inputs: int, outputs: int, groups: Groups, *, eps: float, time: int | None = None
    ) -> None:
        """Make the block.

        Args:
            inputs: channels.
            outputs: channels.
            groups: of both norms.
            eps: epsilon of both norms.
            time: channels of the time's embedding; None for a block that has no time.
        """
        super().__init__()
        self.norm1 = group_norm(groups, inputs, eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = None if time is None else nn.Linear(time, outputs)
        self.norm2 = group_norm(groups, outputs, eps)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Map ``[N, inputs, H, W]`` and an embedding ``[N, time]`` to ``[N, outputs, H, W]``."""
        y = self.conv1(F.silu(self.norm1(x)))
        if self.time_emb_proj is not None and time is not None:
            y = y + self.time_emb_proj(F.silu(time))[:, :, None, None]
        y = self.conv2(F.silu(self.norm2(y)))
        skip = x if self.conv_shortcut is None else self.conv_shortcut(x)
        out: Tensor = skip + y
        return out


class Halve(nn.Module):
    """A stride-2 convolution, padded on all sides, or below and to the right alone."""

    def __init__(self, width: int, *, symmetric: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1 if symmetric else 0)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to ``[N, width, H/2, W/2]``."""
        y: Tensor = self.conv(x if self.conv.padding[0] else F.pad(x, (0, 1, 0, 1)))
        return y


class Double(nn.Module):
    """Nearest ×2, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to ``[N, width, 2H, 2W]``."""
        y: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return y
