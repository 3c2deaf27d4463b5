"""Stable Diffusion's autoencoder with diffusers' ``AutoencoderKL`` key names.

Attention in its middle and the statistics of its norms look at the whole image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.layers.resnet import Double, Halve, Resnet, group_norm

__all__ = ["KlConfig", "KlDecoder", "KlEncoder", "KlTail", "Middle", "PixelAttention"]

_EPS = 1e-6
"""Epsilon of every GroupNorm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KlConfig:
    """Configuration of both halves; the defaults are SD3's."""

    widths: tuple[int, ...] = (128, 256, 512, 512)
    """Channels at 1/1, 1/2, 1/4 and 1/8 of the image side."""
    blocks: int = 2
    """Residual blocks of each level of the encoder; the decoder has one more."""
    latent_channels: int = 16
    groups: int = 32
    """Groups of every GroupNorm."""
    scaling_factor: float = 1.5305
    """Multiplies the encoder's latents, divides them again before the decoder."""


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
    """Block, attention, block, at the size of the latents."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(width, width, (groups,), eps=_EPS) for _ in range(2))
        self.attentions = nn.ModuleList([PixelAttention(width, groups)])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, h, w]`` to the same shape."""
        y: Tensor = self.resnets[1](self.attentions[0](self.resnets[0](x)))
        return y


class Level(nn.Module):
    """Blocks at one size, then a change of size unless the level is its half's last."""

    def __init__(self, inputs: int, outputs: int, blocks: int, groups: int) -> None:
        super().__init__()
        widths = (inputs, *(outputs,) * blocks)
        self.resnets = nn.ModuleList(
            Resnet(before, outputs, (groups,), eps=_EPS) for before in widths[:-1]
        )
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
        levels = _build_levels(widths[0], widths, config.blocks, groups)
        for level, width in zip(levels[:-1], widths[:-1], strict=True):
            level.downsamplers.append(Halve(width, symmetric=False))
        self.down_blocks = nn.ModuleList(levels)
        self.mid_block = Middle(widths[-1], groups)
        self.conv_norm_out = group_norm((groups,), widths[-1], _EPS)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [-1, 1] to ``[N, C, H/8, W/8]``."""
        return self.find_moments(x).chunk(2, dim=1)[0]

    def find_moments(self, x: Tensor) -> Tensor:
        """Map the same to ``[N, 2·C, H/8, W/8]``: means, then the logarithms of variances."""
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        moments: Tensor = self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))
        return moments


class KlTail(nn.Module):
    """The decoder without its beginning: features at the size of the latents → image."""

    def __init__(self, widths: Sequence[int], blocks: int, groups: int) -> None:
        """Make all levels.

        Args:
            widths: channels, from the level at the size of the latents to the image's.
            blocks: residual blocks of each level.
            groups: of every norm.
        """
        super().__init__()
        levels = _build_levels(widths[0], widths, blocks, groups)
        for level, width in zip(levels[:-1], widths[:-1], strict=True):
            level.upsamplers.append(Double(width))
        self.up_blocks = nn.ModuleList(levels)
        self.conv_norm_out = group_norm((groups,), widths[-1], _EPS)
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, widths[0], h, w]`` to ``[N, 3, 8h, 8w]`` in about [-1, 1] for four levels."""
        for level in self.up_blocks:
            x = level(x)
        image: Tensor = self.conv_out(F.silu(self.conv_norm_out(x)))
        return image


class KlDecoder(KlTail):
    """Latents, without the scaling factor → image in about [-1, 1]."""

    def __init__(self, config: KlConfig) -> None:
        widths = config.widths[::-1]
        super().__init__(widths, config.blocks + 1, config.groups)
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.mid_block = Middle(widths[0], config.groups)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, 3, 8h, 8w]`` in about [-1, 1]."""
        return super().forward(self.mid_block(self.conv_in(z)))


def _build_levels(inputs: int, widths: Sequence[int], blocks: int, groups: int) -> list[Level]:
    """Return levels of these widths, none of which changes the size yet."""
    befores = (inputs, *widths[:-1])
    return [
        Level(before, width, blocks, groups) for before, width in zip(befores, widths, strict=True)
    ]
