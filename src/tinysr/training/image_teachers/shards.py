"""Crops with their teacher's images, kept in files.

::

    TAUGHT/  shard-00000.safetensors …   low, high and taught, uint8
             taught.json                 config, teacher, and the hash of each shard, once all exist

Each shard names in its metadata what made it, so that a run that goes on knows its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tinysr import paths
from tinysr.atomic import write_atomically
from tinysr.errors import CheckpointError
from tinysr.hashing import file_sha256
from tinysr.models import SCALE

__all__ = [
    "INDEX",
    "KINDS",
    "TAUGHT",
    "Taught",
    "count_listed",
    "read_taught",
    "shard_origin",
    "shard_path",
    "to_bytes",
    "write_index",
    "write_shard",
]

TAUGHT = "taught"
"""Role of a folder of shards among a stage's inputs."""

INDEX = "taught.json"
"""File name of the list of shards; it is there once all of them are."""

KINDS = ("low", "high", "taught")
"""Tensors of a shard, ``[N, 3, h, w]`` and twice ``[N, 3, 4h, 4w]``: degraded, original, the
teacher's image of the degraded one."""

_ORIGIN = "origin"
_MOST_INDEX = 16 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Taught:
    """A complete folder of shards."""

    folder: Path
    origin: Mapping[str, Any]
    """Config, teacher and data that made it."""
    shards: tuple[str, ...]
    """File names, in order."""
    crops: int
    """Number of crops in each shard."""
    patch: int
    """Side of a crop at high resolution, in pixels."""


def shard_path(folder: Path, index: int) -> Path:
    """Return the place of a shard."""
    return folder / f"shard-{index:05d}.safetensors"


def write_shard(path: Path, tensors: Mapping[str, Tensor], origin: Mapping[str, Any]) -> None:
    """Write a shard, whole or not at all.

    Raises:
        CheckpointError: it can't be written.
    """
    content = {name: tensors[name].contiguous() for name in KINDS}
    metadata = {_ORIGIN: json.dumps(origin, sort_keys=True)}
    write_atomically(path, save(content, metadata), CheckpointError)


def shard_origin(path: Path) -> dict[str, Any] | None:
    """Return what made a shard; None if there is none.

    Raises:
        CheckpointError: the file is not a shard.
    """
    if not paths.is_file(path, CheckpointError):
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            origin = json.loads((file.metadata() or {})[_ORIGIN])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: not a shard of taught crops: remove it") from error
    if not isinstance(origin, dict):
        raise CheckpointError(f"{path}: not a shard of taught crops: remove it")
    return origin


def write_index(folder: Path, origin: Mapping[str, Any], shards: int) -> None:
    """Write the list of a folder's shards and their hashes."""
    rows = [
        {"file": path.name, "sha256": _sha256(path)}
        for path in (shard_path(folder, index) for index in range(shards))
    ]
    text = json.dumps({"origin": origin, "shards": rows}, indent=2) + "\n"
    write_atomically(folder / INDEX, text, CheckpointError)


def count_listed(folder: Path) -> int | None:
    """Return how many shards a folder's list has; None if there is no list that can be read."""
    text = paths.read_limited(folder / INDEX, _MOST_INDEX, CheckpointError)
    try:
        return len(json.loads(text)["shards"]) if text is not None else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def read_taught(folder: Path) -> Taught:
    """Return a folder's shards, each held against its hash.

    Raises:
        CheckpointError: the folder is incomplete, a file changed, or their crops differ in size.
    """
    path = folder / INDEX
    text = paths.read_limited(path, _MOST_INDEX, CheckpointError)
    if text is None:
        raise CheckpointError(
            f"{folder}: expected the crops of a finished stage 'teach', with {INDEX}"
        )
    try:
        data = json.loads(text)
        rows = [(str(row["file"]), str(row["sha256"])) for row in data["shards"]]
        origin = dict(data["origin"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a list of taught crops") from error
    for name, sha256 in rows:
        if Path(name).name != name or "\\" in name:
            raise CheckpointError(f"{path}: '{name}' is not a plain file name")
        if not paths.is_file(folder / name, CheckpointError) or _sha256(folder / name) != sha256:
            raise CheckpointError(f"{folder / name}: missing, or changed since it was taught")
    sizes = {_sizes(folder / name) for name, _ in rows}
    if len(sizes) != 1:
        raise CheckpointError(f"{folder}: expected shards of one size, found {len(sizes)} sizes")
    crops, patch = sizes.pop()
    names = tuple(name for name, _ in rows)
    return Taught(folder=folder, origin=origin, shards=names, crops=crops, patch=patch)


def _sizes(path: Path) -> tuple[int, int]:
    """Return the number of crops, and their side at high resolution."""
    with safe_open(str(path), framework="pt") as file:
        shapes = [tuple(file.get_slice(name).get_shape()) for name in KINDS]
    count, patch = shapes[1][0], shapes[1][-1]
    low, high = (count, 3, patch // SCALE, patch // SCALE), (count, 3, patch, patch)
    if shapes != [low, high, high]:
        raise CheckpointError(f"{path}: expected crops and their enlargements, found {shapes}")
    return int(count), int(patch)


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read: {error.strerror}") from error


def to_bytes(image: Tensor) -> Tensor:
    """Return ``[N, 3, H, W]`` in about [0, 1] as uint8, as an image file would have it."""
    return (image.float().clamp(0, 1) * 255).round().to(torch.uint8)
