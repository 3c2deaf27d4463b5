"""Tensors to a safetensors file: whole or not at all, and the same bytes every time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from tinysr.atomic import replace_atomically
from tinysr.errors import CheckpointError

__all__ = ["write_safetensors"]


def write_safetensors(tensors: Mapping[str, Tensor], metadata: dict[str, str], path: Path) -> None:
    """Write a file of tensors; one that exists is replaced.

    Raises:
        CheckpointError: it can't be written.
    """
    with replace_atomically(path, CheckpointError) as temporary:
        mode = temporary.stat().st_mode
        try:
            save_file(dict(tensors), temporary, metadata)
        except SafetensorError as error:  # it makes its own of a full disk's
            raise CheckpointError(f"{path}: can't be written: {error}") from error
        temporary.chmod(mode)  # the library makes a file that nobody else may read
        with temporary.open("r+b") as file:
            _sort_metadata(file)


def _sort_metadata(file: IO[bytes]) -> None:
    """Put a file's metadata in the order of their names: the library's changes from run to run."""
    size = int.from_bytes(file.read(8), "little")
    found = json.loads(file.read(size))
    found["__metadata__"] = dict(sorted(found["__metadata__"].items()))
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) <= size:  # the header ends in blanks, so that tensors stay aligned
        file.seek(8)
        file.write(text.ljust(size))
