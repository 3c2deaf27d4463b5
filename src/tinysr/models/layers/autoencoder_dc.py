"""The deep compression autoencoder with diffusers' ``AutoencoderDC`` key names.

Of its variants this is the one of Sana's latents (f32c32): strided convolutions on the way down,
nearest neighbours and convolutions on the way up, each beside a shortcut that moves pixels to
channels or back. Attention on its small levels looks at the whole image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.layers.glumb import ChannelNorm, GluMbConv, attend_linearly

__all__ = [
    "EXPANSION",
    "QUARTERS",
    "DcConfig",
    "DcDecoder",
    "DcEncoder",
    "DcResBlock",
    "Lower",
    "MultiscaleAttention",
    "Raise",
    "ViTBlock",
    "average_channels",
    "repeat_channels",
]

EXPANSION = 4
"""Channels inside the gated convolutions over those outside."""

QUARTERS = 4
"""Pixels of a cell that is twice as wide and high."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DcConfig:
    """Configuration of one half; the defaults are those of the decoder of Sana's latents."""

    widths: tuple[int, ...] = (128, 256, 512, 512, 1024, 1024)
    """Channels of each level, from the image's size to the latents'."""
    blocks: tuple[int, ...] = (3, 3, 3, 3, 3, 3)
    """Blocks of each level."""
    attended: int = 3
    """Number of the first level whose blocks have attention; all after it have it too."""
    latent_channels: int = 32
    head_size: int = 32
    kernels: tuple[int, ...] = (5,)
    """Sides of the neighbourhoods that queries, keys and values are mixed over, beside none."""


class DcResBlock(nn.Module):
    """conv, SiLU, conv, norm, plus the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        y: Tensor = self.norm(self.conv2(F.silu(self.conv1(x))))
        return x + y


class Mixing(nn.Module):
    """A neighbourhood of each channel, then the channels of each head with each other."""

    def __init__(self, channels: int, head_size: int, kernel: int) -> None:
        super().__init__()
        self.proj_in = nn.Conv2d(
            channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False
        )
        self.proj_out = nn.Conv2d(channels, channels, 1, groups=channels // head_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, channels, H, W]`` to the same shape."""
        y: Tensor = self.proj_out(self.proj_in(x))
        return y


class MultiscaleAttention(nn.Module):
    """Linear attention of all pixels, by themselves and over neighbourhoods, plus the input."""

    def __init__(self, width: int, head_size: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.head_size = head_size
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_qkv_multiscale = nn.ModuleList(
            Mixing(3 * width, head_size, kernel) for kernel in kernels
        )
        self.to_out = nn.Linear(width * (1 + len(kernels)), width, bias=False)
        self.norm_out = ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        pixels = x.permute(0, 2, 3, 1)
        parts = [to(pixels) for to in (self.to_q, self.to_k, self.to_v)]
        own = torch.cat(parts, dim=3).permute(0, 3, 1, 2)
        scales = torch.cat([own, *(mix(own) for mix in self.to_qkv_multiscale)], dim=1)
        # A head's queries, keys and values lie beside each other.
        heads = scales.flatten(2).unflatten(1, (-1, 3 * self.head_size))
        y = attend_linearly(*heads.chunk(3, dim=2)).flatten(1, 2).unflatten(2, x.shape[2:])
        out: Tensor = self.norm_out(self.to_out(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        return x + out


class ViTBlock(nn.Module):
    """Attention, then gated convolutions."""

    def __init__(self, width: int, head_size: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.attn = MultiscaleAttention(width, head_size, kernels)
        self.conv_out = GluMbConv(width, EXPANSION * width, norm=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        x = self.attn(x)
        y: Tensor = self.conv_out(x)
        return x + y


class Lower(nn.Module):
    """A stride-2 convolution, plus the means of the pixels that become channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H/2, W/2]``."""
        y: Tensor = self.conv(x)
        return y + average_channels(F.pixel_unshuffle(x, 2), y.shape[1])


class Raise(nn.Module):
    """Nearest ×2 and a convolution, plus the repeated channels that become pixels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, 2H, 2W]``."""
        y: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return y + self.shorten(x)

    def shorten(self, x: Tensor) -> Tensor:
        """Return the shortcut, ``[N, outputs, 2H, 2W]``."""
        return F.pixel_shuffle(repeat_channels(x, QUARTERS * self.conv.out_channels), 2)


class DcEncoder(nn.Module):
    """Image in [-1, 1] → latents, before the scaling factor; nothing is sampled."""

    def __init__(self, config: DcConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for level in range(len(widths)):
            sink = [Lower(*widths[level : level + 2])] if level < len(widths) - 1 else []
            self.down_blocks.append(nn.Sequential(*_build_blocks(config, level), *sink))
        self.conv_out = nn.Conv2d(widths[-1], config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [-1, 1] to ``[N, C, H/32, W/32]`` for six levels."""
        x = self.conv_in(x)
        for blocks in self.down_blocks:
            x = blocks(x)
        z: Tensor = self.conv_out(x)
        return z + average_channels(x, z.shape[1])


class DcDecoder(nn.Module):
    """Latents, without the scaling factor → image in about [-1, 1]."""

    def __init__(self, config: DcConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv_in = nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1)
        self.up_blocks = nn.ModuleList()
        for level in range(len(widths)):
            rise = [Raise(*widths[level : level + 2][::-1])] if level < len(widths) - 1 else []
            self.up_blocks.append(nn.Sequential(*rise, *_build_blocks(config, level)))
        self.norm_out = ChannelNorm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, 3, 32h, 32w]`` in about [-1, 1] for six levels."""
        x = self.conv_in(z)
        x = x + repeat_channels(z, x.shape[1])
        for blocks in reversed(self.up_blocks):
            x = blocks(x)
        image: Tensor = self.conv_out(F.relu(self.norm_out(x)))
        return image


def average_channels(x: Tensor, channels: int) -> Tensor:
    """Return the means of neighbouring channels, ``[N, channels, H, W]``."""
    groups: Tensor = x.unflatten(1, (channels, -1))
    return groups.mean(2)


def repeat_channels(x: Tensor, channels: int) -> Tensor:
    """Return each channel several times, one beside the other, ``[N, channels, H, W]``."""
    times = channels // x.shape[1]
    return x.unsqueeze(2).expand(-1, -1, times, -1, -1).flatten(1, 2)


def _build_blocks(config: DcConfig, level: int) -> list[nn.Module]:
    width, count = config.widths[level], config.blocks[level]
    if level < config.attended:
        return [DcResBlock(width) for _ in range(count)]
    return [ViTBlock(width, config.head_size, config.kernels) for _ in range(count)]
