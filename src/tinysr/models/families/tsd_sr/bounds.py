"""Bounds of TSD-SR's configs, so that a hostile one makes nothing allocate."""

from __future__ import annotations

from pathlib import Path

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.bounds import check_int, check_parts
from tinysr.models.families.tsd_sr.config import FAMILY, KlConfig, TsdSrConfig

__all__ = ["LEVELS", "check_sizes"]

LEVELS = 4
"""Sizes of the autoencoder's features: a latent stands for 8 pixels of the result's side."""

_COLOURS = ("wavelet", "adain", "none")


def check_sizes(config: TsdSrConfig, path: Path) -> None:
    """Refuse a config whose values are of the wrong type, absurd, or contradict each other.

    Raises:
        CheckpointError: it does so.
    """
    if config.family != FAMILY:
        raise CheckpointError(f"{path}: the family is {config.family!r:.80}, expected '{FAMILY}'")
    if config.colour not in _COLOURS:
        raise CheckpointError(
            f"{path}: colour is {config.colour!r:.80}, expected one of {', '.join(_COLOURS)}"
        )
    check_int("prompt_tokens", config.prompt_tokens, 1, 4096, path)
    check_int("prompt_channels", config.prompt_channels, 1, 16384, path)
    _check_vae(config.vae, path)
    check_parts(config, path)


def _check_vae(vae: KlConfig, path: Path) -> None:
    check_int("blocks (layers_per_block)", vae.blocks, 1, 8, path)
    check_int("latent_channels", vae.latent_channels, 1, 64, path)
    check_int("groups (norm_num_groups)", vae.groups, 1, 64, path)
    if len(vae.widths) != LEVELS:
        raise CheckpointError(
            f"{path}: widths (block_out_channels) is {vae.widths!r:.80}, expected {LEVELS} integers"
        )
    for width in vae.widths:
        check_int("widths (block_out_channels)", width, 1, 2048, path)
        if width % vae.groups:
            raise CheckpointError(
                f"{path}: {width} channels do not divide into {vae.groups} groups "
                f"(block_out_channels, norm_num_groups)"
            )
