"""Files of tensors: equal bytes for equal contents, and readable by others as umask says."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints import write_safetensors

TENSORS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(3, dtype=torch.float16)}
METADATA = {name: f"é {name}" for name in ("zeta", "alpha", "config", "format", "rest")}


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    made = set()
    for index in range(8):  # the library's own order would differ in one of them
        path = tmp_path / f"{index}.safetensors"
        write_safetensors(TENSORS, METADATA, path)
        made.add(path.read_bytes())
    assert len(made) == 1
    found = load_file(path)
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == METADATA


@pytest.mark.skipif(os.name == "nt", reason="it has no such permissions")
def test_others_may_read_it_as_any_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_safetensors(TENSORS, METADATA, tmp_path / "made.safetensors")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in sorted(tmp_path.iterdir())]
    assert modes[0] == modes[1]


def test_a_place_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="can't be written"):
        write_safetensors(TENSORS, METADATA, tmp_path / "file" / "a.safetensors")
