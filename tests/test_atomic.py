"""A file is there complete, or as it was before."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tinysr.atomic import replace_atomically, write_atomically
from tinysr.errors import BundleError, CalibrationError


def test_folders_are_made_and_texts_keep_their_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_atomically(path, "é\r\n\n")
    assert path.read_bytes() == "é\r\n\n".encode()
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    write_atomically(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CalibrationError, match="file: can't be written: No space left"):
        write_atomically(path, "new", CalibrationError)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="can't be written"):
        write_atomically(tmp_path / "file" / "inner", "new")


def test_what_another_library_writes_is_whole_too(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with pytest.raises(ZeroDivisionError), replace_atomically(path) as temporary:
        temporary.write_text(str(1 / 0))
    assert list(path.parent.iterdir()) == []
    with replace_atomically(path, CalibrationError) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_of_the_system_meanwhile_is_of_the_kind_asked_for(tmp_path: Path) -> None:
    with (
        pytest.raises(CalibrationError, match="file: can't be written: No space left"),
        replace_atomically(tmp_path / "file", CalibrationError),
    ):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
