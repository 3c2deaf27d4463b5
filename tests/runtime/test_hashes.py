"""Remembered hashes: right for the file that is there now, and no more than a help."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tinysr.hashing import file_sha256
from tinysr.runtime import hashes
from tinysr.runtime.hashes import look_up_sha256

HOUR = 3600


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Return the files that were read to hash them, as they are; every file counts as large."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "LARGE", 1)
    # Changed an hour ago for the module: no test can set the time of an inode.
    monkeypatch.setattr(hashes, "_SETTLED", -HOUR)
    read: list[Path] = []
    own = file_sha256

    def counted(path: Path) -> str:
        read.append(path)
        return own(path)

    monkeypatch.setattr(hashes, "file_sha256", counted)
    return read


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    return path


def right(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_is_read_once(readings: list[Path], weights: Path) -> None:
    assert [look_up_sha256(weights) for _ in range(3)] == [right(weights)] * 3
    assert readings == [weights]


def overwritten(path: Path) -> None:
    path.write_bytes(b"WEIGHTS")


def overwritten_with_its_times_put_back(path: Path) -> None:
    stat = path.stat()
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"WEIGHTS")
    other.replace(path)


def longer(path: Path) -> None:
    path.write_bytes(b"weights and more")


@pytest.mark.parametrize(
    "change", [overwritten, overwritten_with_its_times_put_back, replaced, longer]
)
def test_a_changed_file_is_read_again(
    change: Callable[[Path], None], readings: list[Path], weights: Path
) -> None:
    look_up_sha256(weights)
    change(weights)
    assert look_up_sha256(weights) == right(weights)
    assert len(readings) == 2


@pytest.mark.parametrize(
    ("setting", "value"), [("_SETTLED", 2.0), ("LARGE", 100)], ids=["just changed", "small"]
)
def test_a_file_that_was_just_changed_or_is_small_is_always_read(
    readings: list[Path],
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    value: float,
) -> None:
    monkeypatch.setattr(hashes, setting, value)
    look_up_sha256(weights)
    look_up_sha256(weights)
    assert len(readings) == 2


@pytest.mark.parametrize("content", [b"", b"no hash", b"\xff\xfe", b"A" * 64])
def test_a_damaged_memory_is_no_memory(
    content: bytes, readings: list[Path], weights: Path, tmp_path: Path
) -> None:
    look_up_sha256(weights)
    (record,) = (tmp_path / "cache" / "tinysr" / "hashes").iterdir()
    record.write_bytes(content)
    assert look_up_sha256(weights) == right(weights)
    assert look_up_sha256(weights) == right(weights)
    assert len(readings) == 2


def test_without_a_place_for_memories_files_are_read(
    readings: list[Path], weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert look_up_sha256(weights) == right(weights)
    assert look_up_sha256(weights) == right(weights)
    assert len(readings) == 2


def test_the_oldest_memories_are_dropped(
    readings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "_KEPT", 3)
    folder = tmp_path / "cache" / "tinysr" / "hashes"
    for number in range(5):
        path = tmp_path / f"file{number}"
        path.write_bytes(bytes([number]))
        look_up_sha256(path)
    assert len(list(folder.iterdir())) == 3
    look_up_sha256(path)
    assert len(readings) == 5
