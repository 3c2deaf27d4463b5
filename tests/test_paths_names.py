"""Names of every length a file system takes, and longer ones refused before the work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tinysr.atomic import replace_atomically, write_atomically
from tinysr.errors import BundleError, GateError, ImageError, TinySRError
from tinysr.export.files import check_target, replace_whole
from tinysr.export.gate import hold
from tinysr.manifest import MANIFEST_NAME
from tinysr.runtime import Upscaler
from tinysr.runtime.folder import FolderSettings, Item, plan_work, run_jobs

LONGEST = 255
"""Bytes of a name, on the file systems that tests run on."""

LENGTHS = (200, 240, *range(244, LONGEST + 1))


def named(length: int, suffix: str = ".png") -> str:
    """Return a name of so many bytes, of CJK characters where they fit."""
    room = length - len(suffix)
    return "画" * (room // 3) + "x" * (room % 3) + suffix


class Quiet:
    """Watches a run, and keeps what became of the images."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def on_start(self, item: Item) -> None: ...
    def on_step(self, done: int, total: int) -> None: ...
    def on_stop(self) -> None: ...
    def on_finish(self, item: Item) -> None:
        self.items.append(item)


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    return Upscaler(make_bundle(tmp_path_factory.mktemp("names") / "twin"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (8, 6), "teal").save(tmp_path / "in.png")
    return tmp_path / "in.png"


def upscaled(upscaler: Upscaler, source: Path, output: Path | None) -> TinySRError | None:
    """Upscale a file; return its error."""
    work = plan_work([str(source)], None if output is None else str(output))
    seen = Quiet()
    run_jobs(upscaler, work.jobs, FolderSettings(), seen)
    (item,) = seen.items
    return item.error


@pytest.mark.parametrize("length", LENGTHS)
def test_an_image_is_written_under_a_name_of_any_length(
    length: int, upscaler: Upscaler, photo: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out" / named(length)
    assert len(os.fsencode(target.name)) == length
    assert upscaled(upscaler, photo, target) is None
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("length", [LONGEST - 2, LONGEST])
def test_a_name_that_the_mark_makes_too_long_is_refused_before_the_network(
    length: int, upscaler: Upscaler, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photo.rename(photo.with_name(named(length)))
    monkeypatch.setattr(Upscaler, "infer", forbidden)
    error = upscaled(upscaler, source, None)
    assert "-x4.png: can't be" in str(error)
    assert [path.name for path in photo.parent.iterdir()] == [source.name]


@pytest.mark.parametrize(
    "inner",
    [named(LONGEST + 1), f"{'d' * 300}/a.png", "/".join(["d" * 250] * 17) + "/a.png"],
    ids=["name", "folder", "whole path"],
)
def test_what_is_too_long_is_refused_before_the_network(
    inner: str, upscaler: Upscaler, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Upscaler, "infer", forbidden)
    try:
        error: Exception | None = upscaled(upscaler, photo, tmp_path / inner)
    except ImageError as refused:  # before any image is read
        error = refused
    assert error is not None
    assert "\n" not in str(error)
    assert "please report" not in str(error)
    assert [path.name for path in tmp_path.iterdir()] == [photo.name]


def test_the_whole_path_may_be_as_long_as_the_temporary_name_lets_it(
    upscaler: Upscaler, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that fits where its temporary name does not is refused, not half made."""
    monkeypatch.setattr(Upscaler, "infer", forbidden)
    limit = os.pathconf(tmp_path, "PC_PATH_MAX") - 1
    folder = tmp_path
    while limit - len(str(folder)) > 260:
        folder /= "d" * 200
    folder /= "d" * (limit - len(str(folder)) - len("/a.png") - 1)
    target = folder / "a.png"
    assert len(str(target)) == limit
    error = upscaled(upscaler, photo, target)
    assert "File name too long" in str(error)


@pytest.mark.parametrize("length", LENGTHS)
def test_files_and_folders_of_all_kinds_take_names_of_any_length(
    length: int, tmp_path: Path
) -> None:
    write_atomically(tmp_path / named(length, ".json"), "text")
    with replace_atomically(tmp_path / named(length, ".bin")) as temporary:
        temporary.write_bytes(b"bytes")
    for _ in range(2):  # the second replaces the first
        with replace_whole(tmp_path / named(length, ""), overwrite=True) as work:
            (work / MANIFEST_NAME).write_text("{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        named(length, suffix) for suffix in (".json", ".bin", "")
    )


def test_a_rejected_bundle_is_kept_whatever_the_length_of_its_name(tmp_path: Path) -> None:
    def fails(_: Path) -> None:
        raise GateError("31 dB")

    (tmp_path / "work").mkdir()
    (tmp_path / "work" / MANIFEST_NAME).write_text("{}")
    with pytest.raises(GateError, match=r"the bundle is kept as .*rejected"):
        hold(fails, tmp_path / "work", tmp_path / named(LONGEST, ""))
    (kept,) = tmp_path.glob("*.rejected")
    assert (kept / MANIFEST_NAME).is_file()


def test_a_bundle_with_a_name_too_long_is_refused_before_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="File name too long"):
        check_target(tmp_path / named(LONGEST + 1, ""), overwrite=False)


def forbidden(*_: object) -> None:
    raise AssertionError("the network ran")
