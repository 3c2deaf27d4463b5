"""TSD-SR as one safetensors file of our own, with the config in its metadata."""

from __future__ import annotations

from pathlib import Path

import torch

from tinysr import paths
from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import is_safetensors, read_safetensors
from tinysr.models.checkpoints.keys import fill_model
from tinysr.models.checkpoints.metadata import read_config, read_family, write_single_file
from tinysr.models.checkpoints.prefixes import common_prefix
from tinysr.models.families.tsd_sr.bounds import check_sizes
from tinysr.models.families.tsd_sr.config import FAMILY, TsdSrConfig
from tinysr.models.families.tsd_sr.model import TsdSr

__all__ = ["is_single_file", "read_single_file", "save_single_file"]

_ROOTS = ("decoder", "encoder", "pooled", "prompt", "text", "transformer")


def save_single_file(model: TsdSr, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a model and its config, atomically.

    Raises:
        UnsupportedError: ``dtype`` is neither float32 nor float16.
        CheckpointError: a value is, or becomes in float16, NaN or infinite.
    """
    write_single_file(model.state_dict(), model.facts, path, dtype)


def is_single_file(path: Path) -> bool:
    """Tell whether a file is one of these, by its metadata."""
    if not is_safetensors(path) or not paths.is_file(path, CheckpointError):
        return False
    return read_family(path) == FAMILY


def read_single_file(path: Path) -> TsdSr:
    """Return the model of a file: eval mode, fp32, no gradients.

    Raises:
        CheckpointError: the file is damaged or hostile, or its tensors do not fit its config.
    """
    tensors, metadata = read_safetensors(path)
    config = TsdSrConfig.from_dict(read_config(metadata, path))
    check_sizes(config, path)
    prefix = common_prefix(tensors, _ROOTS, path)  # torch.compile's, if it was saved so
    with torch.device("meta"):
        model = TsdSr(config)
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return fill_model(model, named, path)
