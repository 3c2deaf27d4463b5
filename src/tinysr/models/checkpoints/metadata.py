"""Files of our own: tensors, and in the metadata the config, which names a model's family."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models.checkpoints.files import check_finite, read_safetensors
from tinysr.models.checkpoints.writing import write_safetensors

__all__ = ["read_config", "read_family", "write_single_file"]

_FORMAT = "tinysr"
"""Value of ``format`` in the metadata."""

_DTYPES = (torch.float32, torch.float16)


def write_single_file(
    state: Mapping[str, Tensor], facts: Mapping[str, Any], path: Path, dtype: torch.dtype
) -> None:
    """Write tensors and the config that they belong to, atomically.

    Raises:
        UnsupportedError: ``dtype`` is neither float32 nor float16.
        CheckpointError: a value is, or becomes in float16, NaN or infinite.
    """
    if dtype not in _DTYPES:
        raise UnsupportedError(f"weights are saved as float32 or float16, not {dtype}")
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        tensors[name] = tensor.detach().to("cpu", dtype).contiguous()
        check_finite(name, tensors[name], path)
    metadata = {"format": _FORMAT, "config": json.dumps(facts, sort_keys=True)}
    write_safetensors(tensors, metadata, path)


def read_config(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """Return the config in a file's metadata, as its family wrote it.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    if metadata.get("format") != _FORMAT or "config" not in metadata:
        raise CheckpointError(
            f"{path}: no TinySR config in its metadata; give the checkpoint's folder instead"
        )
    try:
        data = json.loads(metadata["config"])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: the config in its metadata is not JSON") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: the config in its metadata is not an object")
    return data


def read_family(path: Path) -> str | None:
    """Return the family that a safetensors file states; None if it states none, or is damaged."""
    try:
        family = read_config(read_safetensors(path, lambda _name: False)[1], path).get("family")
    except CheckpointError:
        return None
    return family if isinstance(family, str) else None
