"""Files of our own: tensors, and in the metadata the config, which names a model's family."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from tinysr import paths
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models.checkpoints.files import check_finite, is_safetensors, read_safetensors
from tinysr.models.checkpoints.prefixes import common_prefix
from tinysr.models.checkpoints.writing import write_safetensors

__all__ = [
    "is_of_family",
    "read_config",
    "read_family",
    "read_single_file",
    "write_single_file",
]

C = TypeVar("C")

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


def is_of_family(path: Path, family: str) -> bool:
    """Tell whether a path is a file of our own that states a family."""
    if not is_safetensors(path) or not paths.is_file(path, CheckpointError):
        return False
    return read_family(path) == family


def read_single_file(
    path: Path, roots: Collection[str], build: Callable[[Mapping[str, Any], Path], C]
) -> tuple[C, dict[str, Tensor]]:
    """Return the config that a file of our own states, and its tensors, without common prefixes.

    Args:
        path: the file.
        roots: first parts of the tensors' names.
        build: makes a config of the data that the file states, or refuses it; before tensors are
            looked at.

    Raises:
        CheckpointError: the file is damaged, or its config is refused.
    """
    tensors, metadata = read_safetensors(path)
    config = build(read_config(metadata, path), path)
    prefix = common_prefix(tensors, roots, path)  # torch.compile's, if it was saved so
    return config, {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
