"""Bounds of configs, so that a hostile one makes nothing allocate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

from tinysr.errors import CheckpointError
from tinysr.models.layers.sd3 import TransformerConfig

__all__ = ["LatentConfig", "PartsConfig", "check_bounds", "check_int", "check_parts"]

# A hostile config must not make us allocate: these are far above any model of this family.
_BOUNDS = {
    "depth": (1, 64),
    "heads": (1, 64),
    "latent_channels": (1, 64),
    "patch": (1, 8),
    "pooled_size": (1, 8192),
    "time_channels": (2, 1024),
    "position_grid": (1, 192),
    "width": (1, 512),
}


class LatentConfig(Protocol):
    """Properties that all configs of autoencoders have."""

    @property
    def latent_channels(self) -> int:
        """Channels of its latents."""
        ...

    @property
    def scaling_factor(self) -> float:
        """Factor of its latents."""
        ...


class PartsConfig(Protocol):
    """Properties of configs that have an SD3 transformer between two halves of an autoencoder."""

    @property
    def transformer(self) -> TransformerConfig:
        """Configuration of the image stream."""
        ...

    @property
    def vae(self) -> LatentConfig:
        """Configuration of the autoencoder."""
        ...

    @property
    def timestep(self) -> float:
        """The one step's time."""
        ...


def check_parts(config: PartsConfig, path: Path) -> None:
    """Refuse what no transformer can be, and one that does not fit its autoencoder.

    Raises:
        CheckpointError: it is so.
    """
    check_bounds(config.transformer, path)
    for name, number in (
        ("scaling_factor", config.vae.scaling_factor),
        ("timestep", config.timestep),
    ):
        real = isinstance(number, int | float) and not isinstance(number, bool)
        if not real or not math.isfinite(number) or number <= 0:
            raise CheckpointError(f"{path}: {name} is {number!r:.80}, expected a positive number")
    if config.transformer.time_channels % 2:
        raise CheckpointError(f"{path}: time_channels is odd: a sine and a cosine make a pair")
    if config.vae.latent_channels != config.transformer.latent_channels:
        raise CheckpointError(
            f"{path}: the autoencoder has {config.vae.latent_channels} latent channels, "
            f"the transformer {config.transformer.latent_channels}; they must agree"
        )


def check_bounds(part: object, path: Path) -> None:
    """Refuse a part's sizes that no model has.

    Raises:
        CheckpointError: one is of the wrong type, or absurd.
    """
    for name, (low, high) in _BOUNDS.items():
        check_int(name, getattr(part, name, low), low, high, path)


def check_int(name: str, value: object, low: int, high: int, path: Path) -> None:
    """Refuse what is not an integer from ``low`` to ``high``."""
    if type(value) is not int or not low <= value <= high:
        raise CheckpointError(
            f"{path}: {name} is {value!r:.80}, expected an integer from {low} to {high}"
        )
