"""Our own layout: one safetensors file that has its config in its metadata."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from tinysr.errors import UnsupportedError
from tinysr.models.checkpoints.files import is_safetensors, read_safetensors
from tinysr.models.checkpoints.metadata import read_config, read_family, write_single_file
from tinysr.models.checkpoints.prefixes import common_prefix
from tinysr.models.families.tinysr.bounds import check_sizes
from tinysr.models.families.tinysr.config import ModelConfig
from tinysr.models.families.tinysr.layout import Checkpoint, CheckpointLayout
from tinysr.models.families.tinysr.model import TinySR
from tinysr.models.layers.tokens import sincos_positions

__all__ = ["SINGLE_FILE", "save_single_file"]

_POSITIONS = "transformer.pos_embed.pos_embed"
_ROOTS = ("decoder", "encoder", "pooled", "transformer")


def save_single_file(model: TinySR, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a model and its config, atomically.

    The position table is left out if it is the one that its formula gives.

    Raises:
        UnsupportedError: ``dtype`` is neither float32 nor float16.
        CheckpointError: a value is, or becomes in float16, NaN or infinite.
    """
    state = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name != _POSITIONS or not torch.equal(tensor.float().cpu(), _positions(model.config))
    }
    write_single_file(state, model.config.to_dict(), path, dtype)


def _positions(config: ModelConfig) -> Tensor:
    return sincos_positions(config.transformer.dim, config.transformer.position_grid)


def _matches(path: Path) -> bool:
    if not is_safetensors(path) or not path.is_file():
        return False
    return read_family(path) in (None, ModelConfig().family)  # without one, it is refused later


def _read(path: Path, layers: Sequence[int] | None) -> Checkpoint:
    if layers is not None:
        raise UnsupportedError(f"{path}: layers can't be chosen from a single file")
    tensors, metadata = read_safetensors(path)
    config = ModelConfig.from_dict(read_config(metadata, path))
    check_sizes(config, path)  # before the position table is allocated
    prefix = common_prefix(tensors, _ROOTS, path)  # torch.compile's, if it was saved so
    tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    tensors.setdefault(_POSITIONS, _positions(config))
    return Checkpoint(config=config, tensors=tensors)


SINGLE_FILE = CheckpointLayout(
    name="single-file",
    sign="a .safetensors file with our config in its metadata",
    matches=_matches,
    read=_read,
)
