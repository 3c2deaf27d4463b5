"""TSD-SR as one safetensors file of our own, with the config in its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tinysr.models.checkpoints import metadata
from tinysr.models.checkpoints.keys import fill_model
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
    metadata.write_single_file(model.state_dict(), model.facts, path, dtype)


def is_single_file(path: Path) -> bool:
    """Tell whether a file is one of these, by its metadata."""
    return metadata.is_of_family(path, FAMILY)


def read_single_file(path: Path) -> TsdSr:
    """Return the model of a file: eval mode, fp32, no gradients.

    Raises:
        CheckpointError: the file is damaged or hostile, or its tensors do not fit its config.
    """
    config, tensors = metadata.read_single_file(path, _ROOTS, _build_config)
    with torch.device("meta"):
        model = TsdSr(config)
    return fill_model(model, tensors, path)


def _build_config(data: Mapping[str, Any], path: Path) -> TsdSrConfig:
    config = TsdSrConfig.from_dict(data)
    check_sizes(config, path)
    return config
