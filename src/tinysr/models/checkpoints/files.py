"""Reading a checkpoint's files: safetensors and JSON.

Whatever is wrong with a file becomes a :class:`~tinysr.errors.CheckpointError` of one line that
names it. Nothing here runs code from a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.damage import describe_cut, describe_stand_in, header_size

__all__ = [
    "check_finite",
    "is_safetensors",
    "read_json",
    "read_safetensors",
    "tensor_names",
    "tensors_sha256",
]

_DTYPES = {"F64", "F32", "F16", "BF16"}
_INTEGERS = {"I64", "I32", "I16", "I8", "U8"}
_MAX_JSON = 16 * 2**20  # bytes
_MAX_HEADER = 32 * 2**20  # bytes: those of the largest models have less than one MB

Keep = Callable[[str], bool]


def _accept_all(_name: str) -> bool:
    return True


def _accept_none(_name: str) -> bool:
    return False


def is_safetensors(path: Path) -> bool:
    """Tell whether a file is named as safetensors are, in capitals or not."""
    return path.suffix.lower() == ".safetensors"


def tensor_names(path: Path) -> list[str]:
    """Return the names of a safetensors file's tensors.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    with _open_safetensors(path) as file:
        return list(file.keys())


def read_safetensors(
    path: Path, keep: Keep = _accept_all, *, integers: Keep = _accept_none
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors as fp32, and the file's metadata.

    Args:
        path: the file.
        keep: tells the tensors to read by their names.
        integers: tells those that may be of integers.

    Raises:
        CheckpointError: the file is missing or damaged, or a tensor is not of floats, or has
            NaN or infinities.
    """
    with _open_safetensors(path) as file:
        metadata: dict[str, str] = file.metadata() or {}
        names = [name for name in file.keys() if keep(name)]  # noqa: SIM118 - not a dict
        return {n: _read_tensor(file, n, path, integers=integers(n)) for n in names}, metadata


@contextmanager
def _open_safetensors(path: Path) -> Iterator[Any]:
    """Open a safetensors file; whatever is wrong with it becomes one line that says what to do."""
    if not is_safetensors(path):
        raise CheckpointError(f"{path}: only .safetensors weights are read, pickles may hold code")
    try:
        if _MAX_HEADER < header_size(path) < path.stat().st_size:
            raise CheckpointError(
                f"{path}: its header has {header_size(path):,} bytes, expected {_MAX_HEADER:,} at "
                f"most: save the tensors without the metadata"
            )
        with safe_open(str(path), framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError, MemoryError) as error:
        reason = describe_stand_in(path) or describe_cut(path) or str(error).split("\n")[0]
        raise CheckpointError(f"{path}: not a readable safetensors file: {reason}") from error


def _read_tensor(file: Any, name: str, path: Path, *, integers: bool) -> Tensor:
    dtype = file.get_slice(name).get_dtype()
    if dtype not in (_DTYPES | _INTEGERS if integers else _DTYPES):
        known = ", ".join(sorted(_DTYPES))
        raise CheckpointError(
            f"{path}: tensor '{name}' is {dtype}, expected one of {known}: save it as one of them"
        )
    tensor: Tensor = file.get_tensor(name).float()
    check_finite(name, tensor, path)
    return tensor


def check_finite(name: str, tensor: Tensor, path: Path) -> None:
    """Refuse NaN and infinities."""
    if not torch.isfinite(tensor).all():
        raise CheckpointError(f"{path}: tensor '{name}' has NaN or infinite values")


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file's object.

    Raises:
        CheckpointError: it is missing, huge, or not an object in JSON.
    """
    try:
        if path.stat().st_size > _MAX_JSON:
            raise CheckpointError(f"{path}: expected some kilobytes of JSON, found a huge file")
        data = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: this file is missing from the checkpoint") from error
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        reason = describe_stand_in(path) or str(error)
        raise CheckpointError(f"{path}: not JSON: {reason}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found a {type(data).__name__}")
    return data


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over sorted names, shapes and fp32 little-endian values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{list(tensor.shape)}\n".encode())
        values = tensor.contiguous().numpy().astype("<f4", copy=False)
        digest.update(values.data.cast("B"))
    return digest.hexdigest()
