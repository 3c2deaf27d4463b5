"""Weights of a diffusers folder: which of its files to read, and under which names.

A folder may hold the same weights several times: whole or in shards, and in variants such as
``fp16`` or ``non_ema``, which stand in the files' names. The plain files are taken where they are,
a variant where it is the only one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.damage import describe_absence
from tinysr.models.checkpoints.files import read_json, read_safetensors, tensor_names
from tinysr.models.checkpoints.prefixes import common_prefix

__all__ = ["list_visible", "read_weights"]

_SHARD = r"-(?P<number>\d{5})-of-(?P<count>\d{5})"
_WEIGHTS = re.compile(
    # Old files of diffusers have the variant behind the shard's number.
    rf"^(?P<stem>[^.]+?)(?:\.(?P<variant>.+?))?(?:{_SHARD}(?:\.(?P<late>.+))?)?\.safetensors$",
    re.IGNORECASE,
)
_INDEX = re.compile(
    r"^(?P<stem>[^.]+)(?:\.(?P<early>.+))?\.safetensors\.index(?:\.(?P<variant>.+))?\.json$",
    re.IGNORECASE,
)
_UNFINISHED = (".incomplete", ".part", ".crdownload", ".download", ".aria2", ".tmp")


def _accept_all(_name: str) -> bool:
    return True


def read_weights(
    folder: Path, roots: Collection[str], keep: Callable[[str], bool] = _accept_all
) -> dict[str, Tensor]:
    """Return the weights of a diffusers folder, fp32, under the model's own names.

    Args:
        folder: holds one file, or shards with or without an index.
        roots: first parts of the model's own names; a wrapper's prefix before all is removed.
        keep: tells the tensors to read by their own names.

    Raises:
        CheckpointError: a file is missing or damaged, two files hold the same tensor, or the names
            are not those of the model.
    """
    owners: dict[str, Path] = {}
    for path in _weight_files(folder):
        for name in tensor_names(path):
            if name in owners:
                raise CheckpointError(
                    f"{path}: tensor '{name}' is in another file of {folder} too, "
                    f"{owners[name].name}: expected the weights once; move the other file away"
                )
            owners[name] = path
    prefix = common_prefix(owners, roots, folder)
    tensors: dict[str, Tensor] = {}
    for path in dict.fromkeys(owners.values()):
        part, _ = read_safetensors(path, lambda name: keep(name.removeprefix(prefix)))
        tensors |= {name.removeprefix(prefix): tensor for name, tensor in part.items()}
    return tensors


def list_visible(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted, without hidden files such as macOS's ``._*``.

    Raises:
        CheckpointError: there is no such folder, or it can't be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise CheckpointError(f"{folder}: can't be listed: {error.strerror}") from error


@dataclass(slots=True)
class _Set:
    """Files that hold the same weights once."""

    variant: str
    """Variant in the files' names, such as ``fp16``; empty for the plain files."""
    files: set[str] = field(default_factory=set)
    """Names of those that lie here."""
    indices: list[Path] = field(default_factory=list)

    @property
    def expected(self) -> set[str]:
        """Names of all files, there or not."""
        named = {name for found in self.files for name in _list_siblings(found)}
        indexed = _read_index(self.indices[0]) if self.indices else named
        # An index of shards that were left out is no reason to miss them: the whole file is here.
        return indexed if indexed & self.files or not self.files else named


def _weight_files(folder: Path) -> list[Path]:
    """Return the files to read, by the names of what lies in a folder."""
    stems: dict[str, dict[str, _Set]] = {}
    for path in list_visible(folder):
        for pattern in (_WEIGHTS, _INDEX):
            if match := pattern.match(path.name):
                parts = match.groupdict()
                variant = parts["variant"] or parts.get("late") or parts.get("early") or ""
                of_stem = stems.setdefault(match["stem"], {})
                one = of_stem.setdefault(variant, _Set(variant))
                if pattern is _WEIGHTS:
                    one.files.add(path.name)
                else:
                    one.indices.append(path)
    if not stems:
        raise CheckpointError(f"{folder}: no .safetensors weights here{_describe_others(folder)}")
    return [path for sets in stems.values() for path in _files(_choose_set(sets, folder), folder)]


def _describe_others(folder: Path) -> str:
    for path in list_visible(folder):
        if path.name.endswith(_UNFINISHED):
            return f"; '{path.name}' is a download that has not ended: download it again"
        if path.name.endswith(".safetensors.dvc"):
            return f": {describe_absence(path.with_suffix(''))}"
    return "; pickled ones (.bin, .pt) are never read: save the model as safetensors"


def _choose_set(sets: dict[str, _Set], folder: Path) -> _Set:
    """Return the set to read: the plain one, or the only variant."""
    # An index may lie here alone: those who download a variant take all .json files with it.
    there = {name: one for name, one in sets.items() if one.files}
    if "" in there or len(sets) == 1:
        return sets.get("") or next(iter(sets.values()))
    if len(there) != 1:
        found = ", ".join(f"'{name}'" for name in sorted(there or sets))
        raise CheckpointError(
            f"{folder}: the weights are here in several variants, {found}, and it is not clear "
            f"which one is meant: keep one of them, or add the plain files"
        )
    return next(iter(there.values()))


def _files(one: _Set, folder: Path) -> list[Path]:
    if len(one.indices) > 1:
        raise CheckpointError(f"{folder}: expected one index of shards, found {len(one.indices)}")
    expected = one.expected
    for name in sorted(expected):
        if not (folder / name).is_file():
            reason = describe_absence(folder / name)
            raise CheckpointError(f"{folder}: the shard '{name}' is missing: {reason}")
    return [folder / name for name in sorted(expected)]


def _read_index(index: Path) -> set[str]:
    """Return the names of the shards that an index lists."""
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(s, str) for s in shards.values()):
        raise CheckpointError(f"{index}: expected a 'weight_map' from tensors to file names")
    names = set(shards.values())
    for name in names:
        if Path(name).name != name or "\\" in name:
            raise CheckpointError(f"{index}: the shard '{name}' is not a plain file name")
    return names


def _list_siblings(name: str) -> set[str]:
    """Return the names of all the shards that ``name`` says there are; itself if it is whole."""
    shard = re.search(_SHARD, name)
    if shard is None:
        return {name}
    before, after, count = name[: shard.start()], name[shard.end() :], shard["count"]
    return {f"{before}-{n:05d}-of-{count}{after}" for n in range(1, int(count) + 1)}
