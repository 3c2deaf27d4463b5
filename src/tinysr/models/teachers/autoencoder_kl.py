"""Stable Diffusion's autoencoder with diffusers' ``AutoencoderKL`` key names.

Only teachers have it. A student's is the tiny one of :mod:`tinysr.models.vae`, and no export knows
these layers.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.teachers.config import KlConfig

__all__ = ["KlDecoder", "KlEncoder"]

_EPS = 1e-6
"""Epsilon of every GroupNorm."""


class Resnet(nn.Module):
    """norm, SiLU, conv, norm, SiLU, conv, plus the input."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, _EPS)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, outputs, _EPS)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H, W]``."""
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        skip = x if self.conv_shortcut is None else self.conv_shortcut(x)
        out: Tensor = skip + y
        return out


class PixelAttention(nn.Module):
    """Self-attention of all pixels, one head as wide as the features, plus the input."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, width, _EPS)
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        pixels = self.group_norm(x).flatten(2).transpose(1, 2)  # [N, H·W, width]
        # With a head axis, or PyTorch's fused kernels do not apply.
        q, k, v = (to(pixels)[:, None] for to in (self.to_q, self.to_k, self.to_v))
        y: Tensor = self.to_out(F.scaled_dot_product_attention(q, k, v)[:, 0])
        return x + y.transpose(1, 2).reshape(x.shape)


class Middle(nn.Module):
    """Block, attention, block, at 1/8 of the image side."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(width, width, groups) for _ in range(2))
        self.attentions = nn.ModuleList([PixelAttention(width, groups)])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, h, w]`` to the same shape."""
        y: Tensor = self.resnets[1](self.attentions[0](self.resnets[0](x)))
        return y


class Halve(nn.Module):
    """A stride-2 convolution, padded below and to the right alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to ``[N, width, H/2, W/2]``."""
        y: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
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


class Level(nn.Module):
    """Blocks at one size, then a change of size unless the level is its half's last."""

    def __init__(self, inputs: int, outputs: int, blocks: int, groups: int) -> None:
        super().__init__()
        widths = (inputs, *(outputs,) * blocks)
        self.resnets = nn.ModuleList(Resnet(before, outputs, groups) for before in widths[:-1])
        self.downsamplers = nn.ModuleList()
        self.upsamplers = nn.ModuleList()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, …]``, halved, doubled or neither."""
        for layer in (*self.resnets, *self.downsamplers, *self.upsamplers):
            x = layer(x)
        return x


class KlEncoder(nn.Module):
    """Image in [-1, 1] → the mean of its latents, before the scaling factor."""

    def __init__(self, config: KlConfig) -> None:
        super().__init__()
        widths, groups = config.widths, config.groups
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        befores = (widths[0], *widths[:-1])
        levels = [
            Level(before, width, config.blocks, groups)
            for before, width in zip(befores, widths, strict=True)
        ]
        for level, width in zip(levels[:-1], widths[:-1], strict=True):
            level.downsamplers.append(Halve(width))
        self.down_blocks = nn.ModuleList(levels)
        self.mid_block = Middle(widths[-1], groups)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], _EPS)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [-1, 1] to ``[N, C, H/8, W/8]``."""
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        moments = self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))
        mean: Tensor = moments.chunk(2, dim=1)[0]  # the other half is the logarithm of a variance
        return mean


class KlDecoder(nn.Module):
    """Latents, without the scaling factor → image in about [-1, 1]."""

    def __init__(self, config: KlConfig) -> None:
        super().__init__()
        widths, groups = config.widths[::-1], config.groups
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.mid_block = Middle(widths[0], groups)
        befores = (widths[0], *widths[:-1])
        levels = [
            Level(before, width, config.blocks + 1, groups)
            for before, width in zip(befores, widths, strict=True)
        ]
        for level, width in zip(levels[:-1], widths[:-1], strict=True):
            level.upsamplers.append(Double(width))
        self.up_blocks = nn.ModuleList(levels)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], _EPS)
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, 3, 8h, 8w]`` in about [-1, 1]."""
        x = self.mid_block(self.conv_in(z))
        for level in self.up_blocks:
            x = level(x)
        image: Tensor = self.conv_out(F.silu(self.conv_norm_out(x)))
        return image
