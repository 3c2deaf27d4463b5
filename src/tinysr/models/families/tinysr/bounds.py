"""Bounds of TinySR's configs, so that a hostile one makes nothing allocate."""

from __future__ import annotations

from pathlib import Path

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.bounds import check_bounds, check_int, check_parts
from tinysr.models.families.tinysr.config import ModelConfig
from tinysr.models.layers.autoencoder_tiny import VaeConfig

__all__ = ["check_sizes"]

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


def _check_vae(vae: VaeConfig, path: Path) -> None:
    check_bounds(vae, path)
    for name in ("encoder_blocks", "decoder_blocks"):
        blocks = getattr(vae, name)
        if not isinstance(blocks, tuple) or len(blocks) != _LEVELS:
            raise CheckpointError(f"{path}: {name} is {blocks!r:.80}, expected {_LEVELS} integers")
        for count in blocks:
            check_int(name, count, 0, _MAX_BLOCKS, path)
    for name in ("separable_encoder", "separable_decoder"):
        if not isinstance(getattr(vae, name), bool):
            raise CheckpointError(f"{path}: {name} is not true or false")
