"""Stages of PiSA-SR and OSEDiff whose own operations have a type."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.families.stable_diffusion.model import Decoder, Encoder, Restorer
from tinysr.models.families.stable_diffusion.step import Step

from ...model.typed import BORDER, Typed, Wide, as_type

__all__ = ["TYPED_STAGES", "Denoise", "WideConv2d"]


class TypedEncoder(Typed, Encoder):
    """Image → latents: what followed the last convolution is folded into it."""

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1], enlarged before, to ``[N, C, H/8, W/8]``."""
        # Not folded: a convolution's padding is zero in [-1, 1].
        x = self.conv_in(self.cast_input(image) * 2 - 1)
        for level in self.down_blocks:
            x = level(x)
        norm = self.conv_norm_out(self.mid_block(x))
        return as_type(self.conv_out(F.silu(self.cast_input(norm))), BORDER)


class FoldedRestorer(Restorer):
    """Latents → restored latents, by a UNet whose time and text are folded."""

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to the same shape; sides divide by 8."""
        restored: Tensor = self.step(z, self.net(z))
        return restored


class WideStep(Wide, Step):
    """The step in fp32."""

    def forward(self, z: Tensor, predicted: Tensor) -> Tensor:
        """Map two ``[N, C, h, w]`` to restored latents."""
        z, predicted = as_type(z, BORDER), as_type(predicted, BORDER)
        if self.latents == self.prediction == 1:
            return z - predicted
        return super().forward(z, predicted)


class WideConv2d(Wide, nn.Conv2d):
    """A convolution in fp32, whatever a plan says."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H, W]``."""
        y: Tensor = super().forward(as_type(x, BORDER))
        return y


class Denoise(Wide):
    """z' = a·z + p, with the UNet's last convolution in it: it gives p, all in fp32.

    The step multiplies the noise by 15: rounded to fp16 once, it would cost more than all that
    comes before.
    """

    def __init__(self, conv_out: WideConv2d, latents: float) -> None:
        super().__init__()
        self.conv_out, self.latents = conv_out, latents

    def forward(self, z: Tensor, features: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` and the UNet's last features to restored latents."""
        restored: Tensor = as_type(z, BORDER) * self.latents + self.conv_out(features)
        return restored


class TypedDecoder(Typed, Decoder):
    """Latents → image: the factor and the map from [-1, 1] are folded into convolutions."""

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, 3, 8h, 8w]``, about [0, 1], unclamped."""
        x = self.mid_block(self.conv_in(self.post_quant_conv(z)))
        for level in self.up_blocks:
            x = level(x)
        image = self.conv_out(F.silu(self.cast_input(self.conv_norm_out(x))))
        return as_type(image, BORDER)


TYPED_STAGES = {
    Decoder: TypedDecoder,
    Encoder: TypedEncoder,
    Restorer: FoldedRestorer,
    Step: WideStep,
}
"""The families' own classes, and the same with a type."""
