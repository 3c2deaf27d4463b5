"""Config of Stable Diffusion's autoencoder, as diffusers saves it."""

from __future__ import annotations

from pathlib import Path

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.bounds import check_int
from tinysr.models.checkpoints.files import read_json
from tinysr.models.checkpoints.values import expect, read_integer, read_integers
from tinysr.models.layers.autoencoder_kl import KlConfig

__all__ = ["read_kl_config"]

_LEVELS = 4  # an image side is 8 latent pixels' worth


def read_kl_config(path: Path, *, quant: bool, factor: float) -> KlConfig:
    """Return the checked config of an autoencoder.

    Args:
        path: of the config.
        quant: whether 1×1 convolutions lie around the latents.
        factor: of the latents, where the config states none.

    Raises:
        CheckpointError: it can't be read, or is of what the layers can't express.
    """
    config = read_json(path)
    expect(config, path, in_channels=3, out_channels=3, act_fn="silu", latents_mean=None)
    expect(config, path, latents_std=None, mid_block_add_attention=True)
    expect(config, path, use_quant_conv=quant, use_post_quant_conv=quant)
    expect(config, path, down_block_types=["DownEncoderBlock2D"] * _LEVELS)
    expect(config, path, up_block_types=["UpDecoderBlock2D"] * _LEVELS)
    vae = KlConfig(
        widths=read_integers(config, "block_out_channels", path),
        blocks=read_integer(config, "layers_per_block", path),
        latent_channels=read_integer(config, "latent_channels", path),
        groups=read_integer(config, "norm_num_groups", path),
        scaling_factor=config.get("scaling_factor", factor),
    )
    _check_widths(vae, path)
    return vae


def _check_widths(vae: KlConfig, path: Path) -> None:
    check_int("layers_per_block", vae.blocks, 1, 8, path)
    check_int("latent_channels", vae.latent_channels, 1, 64, path)
    if len(vae.widths) != _LEVELS:
        raise CheckpointError(
            f"{path}: block_out_channels is {vae.widths!r:.80}, expected {_LEVELS} integers"
        )
    for width in vae.widths:
        check_int("block_out_channels", width, 1, 2048, path)
        if width % vae.groups:
            raise CheckpointError(
                f"{path}: {width} channels do not divide into {vae.groups} groups "
                f"(block_out_channels, norm_num_groups)"
            )
