"""Configuration of a whole TSD-SR, as frozen data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinysr.errors import CheckpointError
from tinysr.models.layers.autoencoder_kl import KlConfig
from tinysr.models.layers.sd3 import TransformerConfig
from tinysr.models.layers.sd3_text import TEXT_CHANNELS, TEXT_TOKENS

__all__ = ["FAMILY", "PRESETS", "KlConfig", "TsdSrConfig"]

FAMILY = "tsd-sr"


@dataclass(frozen=True, kw_only=True, slots=True)
class TsdSrConfig:
    """TSD-SR (CVPR 2025): SD3-medium, both streams, run once; the defaults are the authors'."""

    family: str = FAMILY
    vae: KlConfig = field(default_factory=KlConfig)
    transformer: TransformerConfig = field(default_factory=lambda: TransformerConfig(depth=24))
    """Configuration of the image stream; the text stream's follows from it."""
    prompt_tokens: int = TEXT_TOKENS
    prompt_channels: int = TEXT_CHANNELS
    timestep: float = 1000.0
    """The one step's time; sigma is 1 there, so that z_HR = z_LR - v."""
    colour: str = "wavelet"
    """Correction of the result's colours by those of the image: wavelet, adain or none."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TsdSrConfig:
        """Rebuild a config from :meth:`to_dict`'s data; its sizes are not looked at yet.

        Raises:
            CheckpointError: a field is unknown or of the wrong type.
        """
        try:
            fields = dict(data)
            vae: dict[str, Any] = dict(fields.pop("vae"))
            transformer: dict[str, Any] = dict(fields.pop("transformer"))
            vae["widths"] = tuple(vae["widths"])
            return cls(vae=KlConfig(**vae), transformer=TransformerConfig(**transformer), **fields)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"the model config does not fit this version: {error}") from error


PRESETS: dict[str, TsdSrConfig] = {"tsd-sr": TsdSrConfig()}
"""Configurations by name. None has public weights here: they load with seeded ones."""
