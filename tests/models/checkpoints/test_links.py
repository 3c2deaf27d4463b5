"""Checkpoints reached through links, and those that can't be reached."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.linked import LAYOUTS
from tests.support.tiny_models import tiny_model
from tinysr.errors import CheckpointError
from tinysr.models import load, load_checkpoint
from tinysr.models.families.tinysr.single_file import save_single_file

layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


@layouts
def test_a_linked_folder_is_the_same_model(
    layout: Callable[[Path, Path], Path], original: Path, tmp_path: Path
) -> None:
    linked = load_checkpoint(layout(original, tmp_path))
    assert linked.source.sha256 == load_checkpoint(original).source.sha256
    assert linked.source.kind == "released"


@layouts
def test_a_linked_file_is_the_same_model_under_its_own_name(
    layout: Callable[[Path, Path], Path], tmp_path: Path
) -> None:
    (tmp_path / "plain").mkdir()
    model = tiny_model()
    save_single_file(model, tmp_path / "plain" / "mine.safetensors")
    loaded = load_checkpoint(layout(tmp_path / "plain", tmp_path) / "mine.safetensors")
    assert loaded.source.name == "mine.safetensors"
    torch.testing.assert_close(loaded.model.state_dict(), model.state_dict())


@pytest.mark.parametrize("beside", ["the link", "the folder"])
def test_the_dataset_lies_beside_the_checkpoint_or_where_it_leads(
    beside: str, released: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "checkpoint").symlink_to(released / "checkpoint")
    if beside == "the link":
        (released / "dataset").rename(place / "dataset")
    assert load_checkpoint(place).source.kind == "released"
    assert load_checkpoint(place / "checkpoint").source.kind == "released"


def test_the_folder_that_one_is_in_has_its_name(
    released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(released)
    assert load_checkpoint(".").source.name == released.name
    monkeypatch.chdir(released / "checkpoint")
    assert load_checkpoint(".").source.name == "checkpoint"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("method", ["stat", "read_bytes", "open"])
def test_what_cannot_be_reached_inside_is_one_line(
    method: str, number: int, released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true: Any = getattr(Path, method)

    def refuse(path: Path, *words: Any, **options: Any) -> Any:
        if "tinysr" in path.parts or "tinybackbone" in path.parts:
            raise OSError(number, os.strerror(number), str(path))
        return true(path, *words, **options)

    monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(CheckpointError, match=os.strerror(number)) as caught:
        load(released)
    assert "\n" not in str(caught.value)
