"""The eager AdcSR: the reference that every other form of it is held against."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.chain import Chain
from tinysr.errors import choice_error
from tinysr.models.families.adcsr.chain import DECODER, UNET, find_chain
from tinysr.models.families.adcsr.config import AdcSrConfig
from tinysr.models.family import OneStepModel
from tinysr.models.layers.autoencoder_kl import KlTail, Middle
from tinysr.models.layers.unet2d import Unet2d

__all__ = ["AdcSR", "Features", "Picture"]


class Features(nn.Module):
    """Image → the features that a decoder makes of restored latents, without latents between."""

    def __init__(self, config: AdcSrConfig) -> None:
        super().__init__()
        self.unshuffle = config.unshuffle
        self.net = Unet2d(config.unet)
        self.mid_block = Middle(config.features, config.decoder_groups)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1] to ``[N, features, H/2, W/2]``; sides divide by 16."""
        cells = F.pixel_unshuffle(image * 2 - 1, self.unshuffle)
        y: Tensor = self.mid_block(self.net(cells))
        return y


class Picture(KlTail):
    """Features → image."""

    def __init__(self, config: AdcSrConfig) -> None:
        super().__init__(config.decoder_widths, config.decoder_blocks, config.decoder_groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, features, h, w]`` to ``[N, 3, 8h, 8w]``, about [0, 1], unclamped."""
        return (super().forward(x) + 1) / 2


class AdcSR(OneStepModel):
    """One-step super-resolution by a compressed diffusion network (CVPR 2025).

    There is no resize before it, no time, no text and no noise. The authors match each channel's
    mean and deviation with the image's afterwards, which is the runtime's to do: it looks at the
    whole image.
    """

    def __init__(self, config: AdcSrConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = Features(config)
        self.decoder = Picture(config)

    @property
    def facts(self) -> dict[str, Any]:
        """The config as plain JSON-ready data."""
        return self.config.to_dict()

    def chain(self, tile: int) -> Chain:
        """Return both stages for tiles of one size, in pixels of the image.

        Raises:
            UnsupportedError: the tile does not divide into cells, or is too small.
        """
        return find_chain(self.config, tile)

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        """Map what a stage reads ``[N, C, H, W]`` to what it gives.

        Raises:
            UnsupportedError: there is no such stage.
        """
        if stage not in (UNET, DECODER):
            raise choice_error("stage", stage, (UNET, DECODER))
        y: Tensor = self.get_submodule(stage)(x)
        return y

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1] to ``[N, 3, 4H, 4W]``, unclamped; sides divide by 16."""
        y: Tensor = self.decoder(self.unet(image))
        return y
