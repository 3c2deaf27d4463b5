"""Reading a checkpoint's files: safetensors, JSON, and the one pickle that is allowed.

Whatever is wrong with a file becomes a :class:`~tinysr.errors.CheckpointError` of one line that
names it. Nothing here runs code from a file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tinysr.errors import CheckpointError

__all__ = [
    "check_finite",
    "file_sha256",
    "read_json",
    "read_pooled",
    "read_positions",
    "read_prompt",
    "read_safetensors",
    "read_weights",
    "tensors_sha256",
]

_DTYPES = {"F32", "F16", "BF16"}
_MAX_JSON = 16 * 2**20  # bytes
_MAX_PICKLE = 16 * 2**20  # bytes: a pooled embedding has some kilobytes
_SHARD = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors$")

Keep = Callable[[str], bool]


def _everything(_name: str) -> bool:
    return True


def read_safetensors(
    path: Path, keep: Keep = _everything
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors whose names ``keep`` accepts, as fp32, and the file's metadata.

    Raises:
        CheckpointError: the file is missing or damaged, or a tensor is not of floats, or has
            NaN or infinities.
    """
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: only .safetensors weights are read, pickles may hold code")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            names = [name for name in file.keys() if keep(name)]  # noqa: SIM118 - not a dict
            return {name: _read_tensor(file, name, path) for name in names}, metadata
    except (SafetensorError, OSError, ValueError, MemoryError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error


def _read_tensor(file: Any, name: str, path: Path) -> Tensor:
    dtype = file.get_slice(name).get_dtype()
    if dtype not in _DTYPES:
        known = ", ".join(sorted(_DTYPES))
        raise CheckpointError(f"{path}: tensor '{name}' is {dtype}, expected one of {known}")
    tensor: Tensor = file.get_tensor(name).float()
    check_finite(name, tensor, path)
    return tensor


def check_finite(name: str, tensor: Tensor, path: Path) -> None:
    """Refuse NaN and infinities."""
    if not torch.isfinite(tensor).all():
        raise CheckpointError(f"{path}: tensor '{name}' has NaN or infinite values")


def read_weights(folder: Path, keep: Keep = _everything) -> dict[str, Tensor]:
    """Return the weights of a diffusers folder: one file, or shards with or without an index.

    Raises:
        CheckpointError: a file is missing, or two files hold the same tensor.
    """
    tensors: dict[str, Tensor] = {}
    for path in _weight_files(folder):
        part, _ = read_safetensors(path, keep)
        if twice := sorted(tensors.keys() & part.keys()):
            raise CheckpointError(f"{path}: tensor '{twice[0]}' is in another file of {folder} too")
        tensors |= part
    return tensors


def _weight_files(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.safetensors"))
    indices = sorted(folder.glob("*.safetensors.index.json"))
    if len(indices) > 1:
        raise CheckpointError(f"{folder}: expected one index of shards, found {len(indices)}")
    if indices:
        names = _indexed(indices[0])
    else:
        names = {name for path in found for name in _siblings(path.name)}
    if not names:
        raise CheckpointError(
            f"{folder}: no .safetensors weights here; pickled ones (.bin, .pt) are never read"
        )
    for name in sorted(names):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: the shard '{name}' is missing; copy it here")
    return [folder / name for name in sorted(names)]


def _indexed(index: Path) -> set[str]:
    """Return the names of the shards that an index lists."""
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(s, str) for s in shards.values()):
        raise CheckpointError(f"{index}: expected a 'weight_map' from tensors to file names")
    names = set(shards.values())
    for name in names:
        if Path(name).name != name or "\\" in name:
            raise CheckpointError(f"{index}: the shard '{name}' is not a plain file name")
    return names


def _siblings(name: str) -> set[str]:
    """Return the names of all the shards that ``name`` says there are; itself if it is whole."""
    shard = _SHARD.match(name)
    if shard is None:
        return {name}
    count = shard["count"]
    return {f"{shard['stem']}-{n:05d}-of-{count}.safetensors" for n in range(1, int(count) + 1)}


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
        raise CheckpointError(f"{path}: not JSON ({error})") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found a {type(data).__name__}")
    return data


def read_pooled(*candidates: Path) -> Tensor:
    """Return the pooled text embedding ``[1, size]``, fp32, from the first file that exists.

    Raises:
        CheckpointError: none exists, or it is not one plain tensor ``[size]`` or ``[1, size]``.
    """
    return _embedding("the pooled text embedding", "pooled", ("size",), candidates)


def read_prompt(*candidates: Path) -> Tensor:
    """Return the embeddings of a prompt's tokens ``[1, tokens, size]``, as :func:`read_pooled`."""
    return _embedding("the prompt's embedding", "prompt", ("tokens", "size"), candidates)


def _embedding(what: str, name: str, axes: tuple[str, ...], candidates: tuple[Path, ...]) -> Tensor:
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise CheckpointError(f"{candidates[-1]}: {what} is missing")
    tensor = _only_tensor(path) if path.suffix == ".safetensors" else _unpickled(path)
    if tensor.dim() == len(axes):
        tensor = tensor[None]
    fits = tensor.dim() == len(axes) + 1 and tensor.shape[0] == 1 and tensor.numel() > 0
    if not fits or not tensor.is_floating_point():
        shape = ", ".join(axes)
        raise CheckpointError(
            f"{path}: expected floats [{shape}] or [1, {shape}], found {tensor.dtype} "
            f"{list(tensor.shape)}"
        )
    check_finite(name, tensor, path)
    return tensor.detach().float().contiguous()


def read_positions(path: Path) -> Tensor:
    """Return a cached position table, fp32, of whatever shape it has."""
    table = _unpickled(path)
    check_finite("pos_embed", table, path)
    return table.detach().float().contiguous()


def _only_tensor(path: Path) -> Tensor:
    tensors, _ = read_safetensors(path)
    if len(tensors) != 1:
        raise CheckpointError(f"{path}: expected one tensor, found {len(tensors)}")
    return next(iter(tensors.values()))


def _unpickled(path: Path) -> Tensor:
    if path.stat().st_size > _MAX_PICKLE:
        raise CheckpointError(f"{path}: expected some kilobytes, found a huge file")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything at all
        reason = str(error).strip().split("\n")[0][:120]
        raise CheckpointError(
            f"{path}: refused, it holds more than plain tensors or is damaged ({reason})"
        ) from error
    if not isinstance(data, Tensor):
        raise CheckpointError(f"{path}: expected one tensor, found a {type(data).__name__}")
    return data


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over sorted names, shapes and fp32 little-endian values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{list(tensor.shape)}\n".encode())
        values = tensor.contiguous().numpy().astype("<f4", copy=False)
        digest.update(values.data.cast("B"))
    return digest.hexdigest()
