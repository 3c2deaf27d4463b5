"""A tiny autoencoder and an image stream, as diffusers saves them → the whole model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import read_json
from tinysr.models.checkpoints.parts import (
    VAE_ROOTS,
    transformer_config,
    with_cropped_positions,
)
from tinysr.models.checkpoints.values import expect, read_integer, read_integers
from tinysr.models.checkpoints.weights import read_weights
from tinysr.models.families.tinysr.bounds import check_sizes
from tinysr.models.families.tinysr.config import ModelConfig
from tinysr.models.layers.autoencoder_tiny import VaeConfig

__all__ = ["join", "read_vae"]


def read_vae(folder: Path) -> tuple[VaeConfig, dict[str, Tensor]]:
    """Return the config and weights of a tiny autoencoder; its keys tell which convs it has."""
    path = folder / "config.json"
    config = read_json(path)
    expect(config, path, in_channels=3, out_channels=3, act_fn="relu", upsample_fn="nearest")
    expect(config, path, upsampling_scaling_factor=2)
    weights = read_weights(folder, VAE_ROOTS)
    return VaeConfig(
        width=_width(config, path),
        latent_channels=read_integer(config, "latent_channels", path),
        encoder_blocks=read_integers(config, "num_encoder_blocks", path),
        decoder_blocks=read_integers(config, "num_decoder_blocks", path),
        separable_encoder=_separable(weights, "encoder."),
        separable_decoder=_separable(weights, "decoder."),
        scaling_factor=config.get("scaling_factor", 1.0),
    ), weights


def join(
    vae: tuple[VaeConfig, dict[str, Tensor]],
    transformer: tuple[dict[str, Any], dict[str, Tensor]],
    pooled: Tensor,
    path: Path,
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Return the whole model's config and tensors; the position table is cropped."""
    vae_config, vae_tensors = vae
    config, weights = transformer
    model_config = ModelConfig(
        vae=vae_config, transformer=transformer_config(config, weights, path)
    )
    check_sizes(model_config, path)
    cropped = with_cropped_positions(weights, model_config.transformer.position_grid)
    tensors = {f"transformer.{name}": tensor for name, tensor in cropped.items()}
    return model_config, vae_tensors | tensors | {"pooled": pooled}


def _width(config: Mapping[str, Any], path: Path) -> int:
    """Return the one width that all levels of both halves must have."""
    names = ("encoder_block_out_channels", "decoder_block_out_channels")
    levels = [width for name in names for width in read_integers(config, name, path)]
    if not levels or any(width != levels[0] for width in levels):
        raise CheckpointError(f"{path}: block widths are {levels!r:.80}, expected all the same")
    width: int = levels[0]
    return width


def _separable(weights: Mapping[str, Tensor], stage: str) -> bool:
    return any(k.startswith(stage) and k.endswith(".depthwise.weight") for k in weights)
