"""Bounds of configs, so that a hostile one makes nothing allocate."""

from __future__ import annotations

import math
from pathlib import Path

from tinysr.errors import CheckpointError
from tinysr.models.config import ModelConfig, TransformerConfig, VaeConfig
from tinysr.models.teachers import TsdSrConfig

__all__ = ["check_int", "check_parts", "check_sizes"]

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
_LEVELS = 4  # an image side is 8 latent pixels' worth
_MAX_BLOCKS = 16


def check_sizes(config: ModelConfig, path: Path) -> None:
    """Refuse a config whose values are of the wrong type, absurd, or contradict each other.

    Raises:
        CheckpointError: it does so.
    """
    if config.family != ModelConfig().family:
        raise CheckpointError(
            f"{path}: the family is {config.family!r:.80}, expected '{ModelConfig().family}'"
        )
    _check_vae(config.vae, path)
    check_parts(config, path)


def check_parts(config: ModelConfig | TsdSrConfig, path: Path) -> None:
    """Refuse what no transformer can be, and one that does not fit its autoencoder.

    Raises:
        CheckpointError: it is so.
    """
    _check_bounds(config.transformer, path)
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


def _check_vae(vae: VaeConfig, path: Path) -> None:
    _check_bounds(vae, path)
    for name in ("encoder_blocks", "decoder_blocks"):
        blocks = getattr(vae, name)
        if not isinstance(blocks, tuple) or len(blocks) != _LEVELS:
            raise CheckpointError(f"{path}: {name} is {blocks!r:.80}, expected {_LEVELS} integers")
        for count in blocks:
            check_int(name, count, 0, _MAX_BLOCKS, path)
    for name in ("separable_encoder", "separable_decoder"):
        if not isinstance(getattr(vae, name), bool):
            raise CheckpointError(f"{path}: {name} is not true or false")


def _check_bounds(part: VaeConfig | TransformerConfig, path: Path) -> None:
    for name, (low, high) in _BOUNDS.items():
        check_int(name, getattr(part, name, low), low, high, path)


def check_int(name: str, value: object, low: int, high: int, path: Path) -> None:
    """Refuse what is not an integer from ``low`` to ``high``."""
    if type(value) is not int or not low <= value <= high:
        raise CheckpointError(
            f"{path}: {name} is {value!r:.80}, expected an integer from {low} to {high}"
        )
