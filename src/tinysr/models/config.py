"""Configurations: what a TinySR model is made of, as frozen data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinysr.errors import CheckpointError

__all__ = ["HEAD_SIZE", "SCALE", "ModelConfig", "TransformerConfig", "VaeConfig"]

SCALE = 4
"""Output side over input side."""

HEAD_SIZE = 64
"""Channels of one attention head, in every preset."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerConfig:
    """SD3's image stream (paper section 3.1): joint blocks without their text half."""

    depth: int = 12
    heads: int = 24
    latent_channels: int = 16
    patch: int = 2
    """Latent pixels along a token's side."""
    pooled_size: int = 2048
    """Length of the pooled text embedding."""
    time_channels: int = 256
    """Length of the sinusoidal time embedding."""
    position_grid: int = 64
    """Side, in tokens, of the position table that is kept: a centre crop of the 192² one."""

    @property
    def dim(self) -> int:
        """Channels of a token."""
        return self.heads * HEAD_SIZE

    @property
    def ff_dim(self) -> int:
        """Channels inside the feed-forward."""
        return 4 * self.dim


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A whole one-step super-resolution model."""

    family: str = "tinysr"
    vae: VaeConfig = dataclasses.field(default_factory=VaeConfig)
    transformer: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    timestep: float = 1000.0
    """The one step's time; sigma is 1 there, so that z_HR = z_LR - v."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelConfig:
        """Rebuild a config from :meth:`to_dict`'s data.

        Raises:
            CheckpointError: a field is unknown or of the wrong type.
        """
        try:
            fields = dict(data)
            vae: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in fields.pop("vae").items()
            }
            transformer: dict[str, Any] = dict(fields.pop("transformer"))
            return cls(vae=VaeConfig(**vae), transformer=TransformerConfig(**transformer), **fields)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"the model config does not fit this version: {error}") from error
