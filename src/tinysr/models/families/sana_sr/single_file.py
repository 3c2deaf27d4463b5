"""SANA-SR as one safetensors file of our own, with the config in its metadata."""

from __future__ import annotations

from pathlib import Path

import torch

from tinysr import paths
from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import is_safetensors, read_safetensors
from tinysr.models.checkpoints.metadata import read_config, read_family, write_single_file
from tinysr.models.checkpoints.prefixes import common_prefix
from tinysr.models.families.sana_sr.build import build_config, build_sana_sr
from tinysr.models.families.sana_sr.chain import DECODER, ENCODER, TRANSFORMER
from tinysr.models.families.sana_sr.config import FAMILY
from tinysr.models.families.sana_sr.model import SanaSR

__all__ = ["is_single_file", "read_single_file", "save_single_file"]


def save_single_file(model: SanaSR, path: Path, dtype: torch.dtype = torch.float32) -> None:
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


def read_single_file(path: Path) -> SanaSR:
    """Return the model of a file: eval mode, fp32, no gradients.

    Raises:
        CheckpointError: the file is damaged or hostile, or its tensors do not fit its config.
    """
    tensors, metadata = read_safetensors(path)
    config = build_config(read_config(metadata, path), path)
    # torch.compile's, if it was saved so
    prefix = common_prefix(tensors, (ENCODER, TRANSFORMER, DECODER), path)
    tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return build_sana_sr(config, tensors, path)
