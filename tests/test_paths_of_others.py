"""Files where one may not enter, in a process that really may not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tests.support.strangers import as_stranger, close_to_us

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="another user is only played on Linux"
)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Return a folder with a bundle, photos, and a folder of somebody else's."""
    make_bundle(tmp_path / "twin")
    (tmp_path / "private").mkdir()
    (tmp_path / "photos").mkdir()
    for place in ("private/photo.png", "photos/a.png", "photos/c.png", "mine.png"):
        Image.new("RGB", (16, 12), "teal").save(tmp_path / place)
    (tmp_path / "photos" / "b.png").symlink_to("../private/photo.png")
    close_to_us(tmp_path / "private")
    return tmp_path


COMMANDS = {
    "input": ("upscale", "private/photo.png", "--bundle", "twin"),
    "input among others": ("upscale", "mine.png", "private/photo.png", "--bundle", "twin"),
    "output": ("upscale", "mine.png", "-o", "private/c.png", "--bundle", "twin"),
    "output folder": ("upscale", "mine.png", "-o", "private/new", "--bundle", "twin"),
    "output folder itself": ("upscale", "photos", "-o", "private", "--bundle", "twin"),
    "input folder": ("upscale", "private", "--bundle", "twin"),
    "bundle": ("upscale", "mine.png", "--bundle", "private"),
    "inspect": ("inspect", "private"),
    "inspect inside": ("inspect", "private/model.safetensors"),
    "parity": ("parity", "private"),
    "parity's images": ("parity", "twin", "--images", "private"),
    "parity's report": ("parity", "twin", "--json", "private/report.json"),
    "bench": ("bench", "private"),
    "bench's record": ("bench", "twin", "--json", "private/bench.json"),
    "export": ("export", "private", "-o", "new"),
    "export's output": ("export", "tinysr-nano", "-o", "private/new"),
    "calibrate": ("calibrate", "private"),
    "calibrate's output": ("calibrate", "tinysr-nano", "-o", "private/new"),
    "compare's output": ("compare", "twin", "-o", "private/new"),
    "residency": ("residency", "private"),
    "train's photos": ("train", "nano", "-o", "run", "--data", "private"),
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_each_is_one_line_that_names_the_place(words: tuple[str, ...], desk: Path) -> None:
    done = as_stranger(*words, cwd=desk)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "error: " in last
    assert "private" in last
    assert "ermission" in last or "not readable" in last  # the latter are Typer's words
    assert "Traceback" not in done.stderr


def test_one_link_to_an_unreachable_file_is_reported_and_the_others_are_made(desk: Path) -> None:
    done = as_stranger("upscale", "photos", "--bundle", "twin", cwd=desk)
    assert done.returncode == 2
    assert "photos/b.png: can't be read: Permission denied" in done.stderr
    made = {path.name for path in (desk / "photos-x4").glob("*.png")}
    assert made == {"a.png", "c.png"}


def test_links_that_lead_in_a_circle_or_nowhere_are_reported_too(desk: Path) -> None:
    (desk / "photos" / "b.png").unlink()
    (desk / "photos" / "d.png").symlink_to("d.png")
    (desk / "photos" / "e.png").symlink_to("gone.png")
    os.mkfifo(desk / "photos" / "f.png")
    done = as_stranger("upscale", "photos", "--bundle", "twin", cwd=desk)
    assert done.returncode == 2
    assert "photos/d.png: can't be read: Too many levels of symbolic links" in done.stderr
    assert "photos/e.png: can't be read: No such file or directory" in done.stderr
    assert "f.png" not in done.stderr
    made = {path.name for path in (desk / "photos-x4").glob("*.png")}
    assert made == {"a.png", "c.png"}
