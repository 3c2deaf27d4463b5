"""AdcSR as one safetensors file of our own, with the config in its metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinysr import paths
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models.checkpoints.files import check_finite, is_safetensors, read_safetensors
from tinysr.models.checkpoints.metadata import FORMAT, read_family
from tinysr.models.checkpoints.prefixes import common_prefix
from tinysr.models.checkpoints.writing import write_safetensors
from tinysr.models.families.adcsr.build import build_adcsr, build_config
from tinysr.models.families.adcsr.chain import DECODER, UNET
from tinysr.models.families.adcsr.config import FAMILY
from tinysr.models.families.adcsr.model import AdcSR

__all__ = ["is_single_file", "read_single_file", "save_single_file"]

_DTYPES = (torch.float32, torch.float16)


def save_single_file(model: AdcSR, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a model and its config, atomically.

    Raises:
        UnsupportedError: ``dtype`` is neither float32 nor float16.
        CheckpointError: a value is, or becomes in float16, NaN or infinite.
    """
    if dtype not in _DTYPES:
        raise UnsupportedError(f"weights are saved as float32 or float16, not {dtype}")
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        tensors[name] = tensor.detach().to("cpu", dtype).contiguous()
        check_finite(name, tensors[name], path)
    metadata = {"format": FORMAT, "config": json.dumps(model.facts, sort_keys=True)}
    write_safetensors(tensors, metadata, path)


def is_single_file(path: Path) -> bool:
    """Tell whether a file is one of these, by its metadata."""
    if not is_safetensors(path) or not paths.is_file(path, CheckpointError):
        return False
    return read_family(path) == FAMILY


def read_single_file(path: Path) -> AdcSR:
    """Return the model of a file: eval mode, fp32, no gradients.

    Raises:
        CheckpointError: the file is damaged or hostile, or its tensors do not fit its config.
    """
    tensors, metadata = read_safetensors(path)
    config = build_config(_read_config(metadata, path), path)
    prefix = common_prefix(tensors, (UNET, DECODER), path)  # torch.compile's, if it was saved so
    tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return build_adcsr(config, tensors, path)


def _read_config(metadata: dict[str, str], path: Path) -> dict[str, Any]:
    if metadata.get("format") != FORMAT or "config" not in metadata:
        raise CheckpointError(
            f"{path}: no config of a model in its metadata; give the checkpoint's folder instead"
        )
    try:
        data = json.loads(metadata["config"])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: the config in its metadata is not JSON") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: the config in its metadata is not an object")
    return data
