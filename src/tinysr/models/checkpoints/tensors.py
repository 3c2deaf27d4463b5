"""Dictionaries of tensors: safetensors, or a pickle that holds tensors alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import check_finite, is_safetensors, read_safetensors

__all__ = ["read_tensors"]

_MOST_BYTES = 1 << 30
"""Largest pickled file that is read; feature networks and image teachers have some megabytes."""


def read_tensors(path: Path, within: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Return the tensors of a file by name, floats as fp32.

    Args:
        path: ``.safetensors``, or ``.pth`` or ``.pt``, which is read without running code.
        within: keys of a pickle's dictionary, the first that is there holds the tensors; without
            any of them, it is the dictionary itself.

    Raises:
        CheckpointError: the file is missing, damaged, too large, holds more than tensors, or has
            NaN or infinite values.
    """
    if is_safetensors(path):
        return read_safetensors(path, integers=lambda _name: True)[0]
    data = _unpickle(path)
    inner = (data.get(key) for key in within)
    found: Mapping[object, object] = next((d for d in inner if isinstance(d, Mapping)), data)
    tensors = {}
    for name, value in found.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: expected tensors alone, found a {type(value).__name__} at '{name}'"
            )
        tensors[str(name)] = value.detach().float() if value.is_floating_point() else value
        check_finite(str(name), tensors[str(name)], path)
    return tensors


def _unpickle(path: Path) -> Mapping[object, object]:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read: {error.strerror}") from error
    if size > _MOST_BYTES:
        raise CheckpointError(f"{path}: expected 1 GiB at most, found a larger file")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything at all
        reason = str(error).strip().split("\n")[0][:120]
        raise CheckpointError(
            f"{path}: refused, it holds more than plain tensors or is damaged ({reason})"
        ) from error
    if not isinstance(data, Mapping):
        raise CheckpointError(f"{path}: expected a dictionary of tensors, found another object")
    return data
