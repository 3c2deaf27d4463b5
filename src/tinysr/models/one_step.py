"""Base class of one-step super-resolution models, students and teachers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.layers.sd3 import Transformer, TransformerConfig

__all__ = ["SCALE", "OneStep", "OneStepConfig"]

SCALE = 4
"""Output side over input side."""


class OneStepConfig(Protocol):
    """Properties that all configs have of their model."""

    @property
    def transformer(self) -> TransformerConfig:
        """Configuration of the image stream."""
        ...

    @property
    def timestep(self) -> float:
        """The one step's time."""
        ...


class OneStep(nn.Module, ABC):
    """An autoencoder around a transformer that runs once: z_HR = z - v.

    Latents z are as the transformer takes them. An autoencoder applies its own scale inside
    :meth:`encode_image` and :meth:`decode`, so that models may share latents whose autoencoders
    differ: a student learns its teacher's z and v as they are.
    """

    config: OneStepConfig
    transformer: Transformer
    """The image stream; a student starts from its teacher's."""
    pooled: Tensor
    """The pooled embedding of the one fixed prompt, ``[1, pooled_size]``."""

    @abstractmethod
    def encode_image(self, image: Tensor) -> Tensor:
        """Map an image ``[N, 3, 8h, 8w]`` in about [0, 1] to z ``[N, C, h, w]``."""

    @abstractmethod
    def predict(self, z: Tensor) -> Tensor:
        """Return the velocity v of latents z, both ``[N, C, h, w]``."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Map z ``[N, C, h, w]`` to an image ``[N, 3, 8h, 8w]``, about [0, 1], unclamped."""

    def encode(self, lr: Tensor) -> Tensor:
        """Map a low-resolution image ``[N, 3, H, W]`` in [0, 1] to z ``[N, C, H/2, W/2]``."""
        return self.encode_image(
            F.interpolate(lr, scale_factor=SCALE, mode="bicubic", align_corners=False)
        )

    def restore(self, z: Tensor) -> Tensor:
        """Map latents ``[N, C, h, w]`` to restored ones: z - v (paper section 3)."""
        return z - self.predict(z)

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1] to ``[N, 3, 4H, 4W]``, unclamped; sides divide by 4."""
        return self.decode(self.restore(self.encode(lr)))
