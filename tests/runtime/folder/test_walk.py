"""Which files of a folder are taken, and what is said of the others."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tests.support.pictures import gradient
from tinysr.errors import ImageError
from tinysr.runtime import Upscaler
from tinysr.runtime.files import describe_left_out, explain_suffix
from tinysr.runtime.folder import FolderSettings, plan_work, run_jobs
from tinysr.runtime.folder.item import Item
from tinysr.runtime.folder.walk import walk


def found(folder: Path) -> list[str]:
    return [path.name for path in walk(folder, folder / "out").images]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("name", ["photo", "scan.2024-05-01", "v1.2", "mr. smith"])
def test_files_without_a_suffix_are_taken_by_their_content(
    kind: str, name: str, tmp_path: Path
) -> None:
    gradient().save(tmp_path / name, kind)
    assert found(tmp_path) == [name]


def test_what_begins_like_no_image_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("words")
    (tmp_path / "empty").touch()
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    gradient().save(tmp_path / "photo.bak", "PNG")
    assert found(tmp_path) == []
    assert walk(tmp_path, tmp_path / "out").others == {"": 4, ".bak": 1}


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".jif", ".mpo", ".dib", ".APNG"])
def test_every_suffix_of_a_format_is_looked_for(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix}").touch()
    assert found(tmp_path) == [f"a{suffix}"]


def test_what_is_left_out_is_told_by_reason() -> None:
    counts = {".txt": 7, ".nef": 3, ".cr2": 1, ".psd": 2, ".mov": 4, "": 1}
    assert describe_left_out(counts) == (
        "4 .mov (films: save frames as PNG); "
        "3 .nef, 1 .cr2 (raw photos: develop them first, to TIFF or JPEG); "
        "2 .psd (images of other kinds: convert them to PNG first); "
        "7 .txt, 1 without a suffix (not images)"
    )
    assert explain_suffix(".dng").startswith("raw photos")


def test_a_folder_of_nothing_else_is_refused_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "a.NEF").touch()
    (tmp_path / "a.xmp").touch()
    with pytest.raises(ImageError) as caught:
        plan_work([str(tmp_path)], None)
    assert str(caught.value) == (
        f"{tmp_path}: expected at least one image, found none, among 1 .nef (raw photos: "
        "develop them first, to TIFF or JPEG); 1 .xmp (not images)"
    )


class Silent:
    def __init__(self) -> None:
        self.items: list[Item] = []

    def on_start(self, item: Item) -> None: ...

    def on_step(self, done: int, total: int) -> None: ...

    def on_finish(self, item: Item) -> None:
        self.items.append(item)

    def on_stop(self) -> None: ...


def test_a_stereo_photo_becomes_a_jpeg_and_a_file_without_a_suffix_a_png(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    left, right = (Image.fromarray(np.full((9, 11, 3), value, np.uint8)) for value in (40, 200))
    left.save(folder / "both.mpo", save_all=True, append_images=[right], quality=95)
    left.save(folder / "plain", "JPEG")
    watcher = Silent()
    with Upscaler(make_bundle(tmp_path / "twin")) as upscaler:
        jobs = plan_work([str(folder)], str(out)).jobs
        run_jobs(upscaler, jobs, FolderSettings(color="adain"), watcher)
    assert [item.error for item in watcher.items] == [None, None]
    with Image.open(out / "both.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (44, 36))
        assert abs(np.asarray(image).mean() - 40) < 12
    with Image.open(out / "plain.png") as image:
        assert image.format == "PNG"
