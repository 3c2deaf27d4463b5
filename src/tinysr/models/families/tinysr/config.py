"""Configuration of a whole TinySR model, as frozen data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinysr.errors import CheckpointError
from tinysr.models.layers.autoencoder_tiny import VaeConfig
from tinysr.models.layers.sd3 import TransformerConfig

__all__ = ["ModelConfig"]


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
