"""The parts that diffusers saves, as folders of ``config.json`` and safetensors.

Configs are checked against what the model can express: a value that would change the result is
refused, never ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import read_json
from tinysr.models.checkpoints.text_stream import in_text_stream
from tinysr.models.checkpoints.values import expect, read_integer
from tinysr.models.checkpoints.weights import read_weights
from tinysr.models.layers.sd3 import HEAD_SIZE, TransformerConfig
from tinysr.models.layers.tokens import crop_centre

__all__ = [
    "POSITIONS",
    "VAE_ROOTS",
    "read_autoencoder_class",
    "read_class",
    "read_transformer",
    "transformer_config",
    "with_cropped_positions",
]

POSITIONS = "pos_embed.pos_embed"
"""The position table's key."""

VAE_ROOTS = ("decoder", "encoder", "post_quant_conv", "quant_conv")
"""First parts of the names of an autoencoder's tensors."""

_TRANSFORMER_ROOTS = (
    "context_embedder", "norm_out", "pos_embed", "proj_out", "time_text_embed",
    "transformer_blocks",
)  # fmt: skip
_BLOCK = re.compile(r"^transformer_blocks\.(\d+)\.(.*)$")


def read_class(folder: Path) -> str | None:
    """Return the class that a part's config names; None where there is none, or no config."""
    try:
        name = read_json(folder / "config.json").get("_class_name")
    except CheckpointError:
        return None
    return name if isinstance(name, str) else None


def read_transformer(
    folder: Path, layers: Sequence[int] | None = None, *, text: bool = False
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the checked config of an SD3 transformer, and its weights.

    Args:
        folder: holds ``config.json`` and the weights.
        layers: the blocks to keep, which are numbered anew; all if None.
        text: whether to keep the text's stream beside the image's.
    """
    path = folder / "config.json"
    config = read_json(path)
    expect(config, path, attention_head_dim=HEAD_SIZE, qk_norm=None, dual_attention_layers=())
    expect(config, path, out_channels=config.get("in_channels"))
    depth = read_integer(config, "num_layers", path)
    kept = list(range(depth) if layers is None else layers)
    if not kept or len(set(kept)) < len(kept) or not set(kept) <= set(range(depth)):
        raise CheckpointError(
            f"{folder}: layers {kept} asked for: expected different numbers from 0 to {depth - 1}"
        )

    def is_wanted(name: str) -> bool:
        block = _BLOCK.match(name)
        dropped = block is not None and int(block[1]) < depth and int(block[1]) not in kept
        return not dropped and (text or not in_text_stream(name))

    weights = read_weights(folder, _TRANSFORMER_ROOTS, is_wanted)
    return config | {"num_layers": len(kept)}, {_renumber(n, kept): t for n, t in weights.items()}


def _renumber(name: str, kept: Sequence[int]) -> str:
    block = _BLOCK.match(name)
    if block is None or int(block[1]) not in kept:
        return name
    return f"transformer_blocks.{kept.index(int(block[1]))}.{block[2]}"


def read_autoencoder_class(path: Path) -> object:
    """Return diffusers' class of the autoencoder in a folder's ``vae``; None if none is named.

    Raises:
        CheckpointError: its config can't be read.
    """
    config = path / "vae" / "config.json"
    return read_json(config).get("_class_name") if config.is_file() else None


def transformer_config(
    config: Mapping[str, Any], weights: Mapping[str, Tensor], path: Path
) -> TransformerConfig:
    """Return our config of an SD3 transformer, from diffusers' and the position table."""
    return TransformerConfig(
        depth=config["num_layers"],
        heads=read_integer(config, "num_attention_heads", path),
        latent_channels=read_integer(config, "in_channels", path),
        patch=read_integer(config, "patch_size", path),
        pooled_size=read_integer(config, "pooled_projection_dim", path),
        position_grid=_grid(config, weights, path),
    )


def with_cropped_positions(weights: dict[str, Tensor], grid: int) -> dict[str, Tensor]:
    """Return the weights with the middle ``grid``² of the position table, if they have one."""
    if POSITIONS not in weights:
        return weights
    return weights | {POSITIONS: crop_centre(weights[POSITIONS], grid, grid).clone()}


def _grid(config: Mapping[str, Any], weights: Mapping[str, Tensor], path: Path) -> int:
    """Return the side of the position table to keep: 64 tokens, or all of a smaller table."""
    wanted = TransformerConfig().position_grid
    table = weights.get(POSITIONS)
    if table is None:
        return wanted  # the missing key is reported with all others
    side = math.isqrt(table.shape[1]) if table.dim() == 3 else 0
    largest = read_integer(config, "pos_embed_max_size", path)
    if side == 0 or table.shape[0] != 1 or side**2 != table.shape[1] or side > largest:
        raise CheckpointError(
            f"{path}: '{POSITIONS}' is {list(table.shape)}, expected [1, side², dim] with a side "
            f"of {largest} or, if it was cropped, less"
        )
    return min(wanted, side)
