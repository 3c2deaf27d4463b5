"""Whatever the system says of a path, it ends in one line that names it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tinysr import paths, places
from tinysr.errors import BundleError, CheckpointError, ImageError, TinySRError

LONGEST = 255
"""Bytes of a name, on the file systems that tests run on."""

QUESTIONS: dict[str, Callable[[Path, type[TinySRError]], object]] = {
    "look": paths.look,
    "exists": paths.exists,
    "is_file": paths.is_file,
    "is_folder": paths.is_folder,
    "size": paths.size,
    "listing": paths.list_folder,
    "matching": lambda path, error: paths.find_matching(path, "*", error),
    "files_below": paths.files_below,
    "read_limited": lambda path, error: paths.read_limited(path, 10, error),
    "check_creatable": places.check_creatable,
    "check_file": places.check_file,
}

ODD: dict[str, Callable[[Path], Path]] = {
    "a link to itself": lambda folder: _linked(folder / "circle", "circle"),
    "NUL in a name": lambda folder: folder / "a\0b",
    "half a character": lambda folder: folder / "a\ud800b",
    "a name too long": lambda folder: folder / ("x" * (LONGEST + 1)),
    "a path too long": lambda folder: folder.joinpath(*["x" * 200] * 25),
}


def _linked(path: Path, to: str) -> Path:
    path.symlink_to(to)
    return path


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_path_that_cannot_be_is_one_line_of_the_callers_kind(
    odd: Callable[[Path], Path], question: Callable[..., object], tmp_path: Path
) -> None:
    path = odd(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        question(path, CheckpointError)
    assert str(caught.value).startswith(str(path)) or str(path) in str(caught.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EIO, errno.ENODEV])
@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_so_is_what_the_system_does_not_tell(
    number: int, question: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "stat", refuse)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ImageError, match=os.strerror(number)):
        question(tmp_path / "photo.png", ImageError)


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for absent in (tmp_path / "none", tmp_path / "file" / "inner", _linked(tmp_path / "b", "gone")):
        assert not paths.exists(absent, ImageError)
        assert not paths.is_file(absent, ImageError)
        assert not paths.is_folder(absent, ImageError)
        assert paths.size(absent, ImageError) == 0
        assert paths.read_limited(absent, 10, ImageError) is None
        assert paths.find_matching(absent, "*", ImageError) == []


def test_odd_names_that_can_be_are_taken(tmp_path: Path) -> None:
    for name in ("new\nline", os.fsdecode(b"latin-\xe9"), "x" * LONGEST, "画" * 85, "[a]*?"):
        path = tmp_path / name
        places.check_file(path, ImageError)
        path.write_bytes(b"1")
        assert paths.is_file(path, ImageError)
        assert paths.read_limited(path, 1, ImageError) == b"1"
        assert path in paths.files_below(tmp_path, ImageError)


def test_pipes_and_devices_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(BundleError, match="expected a regular file"):
            paths.read_limited(place, 10, BundleError)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    with pytest.raises(BundleError, match="found a huge file"):
        paths.read_limited(tmp_path / "file", 4, BundleError)


@pytest.mark.parametrize("name", ["x" * LONGEST, "画" * 85, "short"])
def test_a_suffix_fits_behind_every_name(name: str, tmp_path: Path) -> None:
    made = places.fit_name(tmp_path / name, ".rejected")
    made.mkdir()
    assert made.name.endswith(".rejected")
    assert made.name[:5] == name[:5]
    assert places.fit_name(tmp_path / f"{name[:-1]}y", ".rejected") != made


@pytest.mark.parametrize(
    ("place", "words"),
    [("file/new.png", "file is not a folder"), (f"new/{'x' * 300}.png", "names of at most 255")],
    ids=["below a file", "in a folder that is not there yet"],
)
def test_a_place_that_cannot_be_made_is_refused(place: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match=words):
        places.check_creatable(tmp_path / place, ImageError)
