"""The tiny autoencoder: the TAESD3 layout with diffusers' ``AutoencoderTiny`` key names."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Decoder", "Encoder", "ResidualBlock", "SeparableConv", "VaeConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeConfig:
    """The tiny autoencoder (paper section 3.2): TAESD's layout, no attention, no norm."""

    width: int = 64
    """Channels of every inner feature map."""
    latent_channels: int = 16
    encoder_blocks: tuple[int, ...] = (1, 3, 3, 3)
    """Residual blocks at 1/1, 1/2, 1/4 and 1/8 of the image side."""
    decoder_blocks: tuple[int, ...] = (3, 3, 3, 1)
    """Residual blocks at 1/8, 1/4, 1/2 and 1/1 of the image side."""
    separable_encoder: bool = True
    """Depthwise 3×3 then pointwise 1×1 in place of each 3×3 convolution."""
    separable_decoder: bool = False
    scaling_factor: float = 1.0
    """Multiplies the encoder's latents, divides them again before the decoder."""

    @property
    def downscale(self) -> int:
        """Image side over latent side."""
        return int(2 ** (len(self.encoder_blocks) - 1))


class SeparableConv(nn.Module):
    """A depthwise 3×3 convolution, then a pointwise one, with nothing in between (section 3.2)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H / stride, W / stride]``."""
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


def conv3x3(
    inputs: int, outputs: int, *, separable: bool, stride: int = 1, bias: bool = True
) -> nn.Module:
    """Return a 3×3 convolution of the kind a config asks for, padded to keep the size."""
    if separable:
        return SeparableConv(inputs, outputs, stride=stride, bias=bias)
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=bias)


class ResidualBlock(nn.Module):
    """conv, ReLU, conv, ReLU, conv, plus the input, ReLU."""

    def __init__(self, width: int, *, separable: bool) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            conv3x3(width, width, separable=separable),
            nn.ReLU(),
            conv3x3(width, width, separable=separable),
            nn.ReLU(),
            conv3x3(width, width, separable=separable),
        )
        self.fuse = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        y: Tensor = self.fuse(self.conv(x) + x)
        return y


class Encoder(nn.Module):
    """Image in [-1, 1] → latents, before the scaling factor."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        width, separable = config.width, config.separable_encoder
        layers: list[nn.Module] = []
        for level, blocks in enumerate(config.encoder_blocks):
            if level == 0:
                layers.append(conv3x3(3, width, separable=separable))
            else:
                layers.append(conv3x3(width, width, separable=separable, stride=2, bias=False))
            layers += [ResidualBlock(width, separable=separable) for _ in range(blocks)]
        layers.append(conv3x3(width, config.latent_channels, separable=separable))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [-1, 1] to ``[N, C, H/8, W/8]``."""
        y: Tensor = self.layers((x + 1) / 2)
        return y


class Decoder(nn.Module):
    """Latents, without the scaling factor → image in [-1, 1]."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        width, separable = config.width, config.separable_decoder
        layers: list[nn.Module] = [
            conv3x3(config.latent_channels, width, separable=separable),
            nn.ReLU(),
        ]
        last = len(config.decoder_blocks) - 1
        for level, blocks in enumerate(config.decoder_blocks):
            layers += [ResidualBlock(width, separable=separable) for _ in range(blocks)]
            if level < last:
                layers.append(nn.Upsample(scale_factor=2.0))
                layers.append(conv3x3(width, width, separable=separable, bias=False))
            else:
                layers.append(conv3x3(width, 3, separable=separable))
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, 3, 8h, 8w]`` in about [-1, 1]."""
        y: Tensor = self.layers(3 * torch.tanh(z / 3))
        return y * 2 - 1
