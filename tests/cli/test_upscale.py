"""`tinysr upscale`, as a user types it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from tests.support.bundles import make_bundle
from tinysr.cli import numbers
from tinysr.cli.upscale import upscale
from tinysr.errors import BundleError, ImageError, TinySRError, UnsupportedError
from tinysr.runtime.folder import LOG_NAME
from tinysr.runtime.upscaler import MAX_MEGAPIXELS, SCALES


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "twin")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of three images, one of them broken, and a text file."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (36, 40, 3), np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    Image.fromarray(noise).save(folder / "more" / "c.jpg")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:500])
    (folder / "notes.txt").write_text("no image")
    return folder


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(upscale)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def refused(kind: type[TinySRError], words: str, *arguments: object) -> None:
    """The command ends in one line of this kind, and main() turns it into exit code 2."""
    error = run(*arguments).exception
    assert isinstance(error, kind)
    assert words in str(error)
    assert "\n" not in str(error)
    assert error.exit_code == 2


def test_one_image_becomes_one_file(bundle: Path, photos: Path, tmp_path: Path) -> None:
    result = run(photos / "a.png", "-o", tmp_path / "big.webp", "--bundle", bundle)
    assert result.exit_code == 0
    assert size(tmp_path / "big.webp") == (160, 144)
    for words in ("40×36 → 160×144", "made 1 image:", "per second", str(bundle), "onnxruntime"):
        assert words in result.stdout


def test_a_batch_finishes_and_reports_the_bad_file(
    bundle: Path, photos: Path, tmp_path: Path
) -> None:
    result = run(photos, "-o", tmp_path / "out", "--bundle", bundle)
    assert result.exit_code == 2
    made = sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*.*"))
    assert made == [Path("a.png"), Path("more/c.jpg"), Path(LOG_NAME)]
    assert "made 2 of 3 images, 1 failed: 0.05 megapixels in" in result.stdout
    assert f"to {tmp_path / 'out'}" in result.stdout
    assert "left out: 1 .txt (not images)" in result.stdout
    (line,) = (line for line in result.stderr.splitlines() if "error" in line)
    assert str(photos / "b.png") in line


def test_existing_outputs_are_kept_and_the_rest_is_made(
    bundle: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "b.png").unlink()
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_text("precious")
    result = run(photos, "-o", out, "--bundle", bundle)
    assert result.exit_code == 2
    assert "exists and is kept" in result.stderr
    assert (out / "a.png").read_text() == "precious"
    assert size(out / "more" / "c.jpg") == (160, 144)
    again = run(photos, "-o", out, "--bundle", bundle, "--overwrite")
    assert again.exit_code == 0
    assert "made 1 of 2 images, 1 up to date: " in again.stdout
    assert size(out / "a.png") == (160, 144)


def test_without_an_output_a_folder_and_a_file_have_neighbours(bundle: Path, photos: Path) -> None:
    (photos / "b.png").unlink()
    result = run(photos, photos / "a.png", "--bundle", bundle)
    assert result.exit_code == 0
    assert size(photos / "a-x4.png") == (160, 144)
    assert size(photos.with_name("photos-x4") / "more" / "c.jpg") == (160, 144)
    assert f"to {photos}-x4, {photos / 'a-x4.png'}" in result.stdout


@pytest.mark.parametrize(
    ("scale", "sides"), [("2", (80, 72)), ("1.5", (60, 54)), ("0.26", (10, 9))]
)
def test_other_scales_are_made_and_said(
    bundle: Path, photos: Path, scale: str, sides: tuple[int, int]
) -> None:
    result = run(photos / "a.png", "--bundle", bundle, "--scale", scale)
    assert result.exit_code == 0
    assert size(photos / f"a-x{scale}.png") == sides
    assert f"scale ×{scale}: the network's ×4 results, resampled" in result.stdout


@pytest.mark.parametrize("file_format", ["png", "jpg", "webp", "tiff"])
def test_every_format_can_be_asked_for(bundle: Path, photos: Path, file_format: str) -> None:
    result = run(photos / "more", "--bundle", bundle, "--format", file_format)
    assert result.exit_code == 0
    assert size(photos / "more-x4" / f"c.{file_format}") == (160, 144)


def asked(*arguments: object) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the one object on standard output."""
    result = run(*arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


def test_json_tells_of_every_file_and_of_the_run(
    bundle: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, report = asked(photos, "-o", out, "--bundle", bundle)
    assert code == 2
    files = report["files"]
    assert [Path(file["source"]).name for file in files] == ["a.png", "b.png", "c.jpg"]
    assert [file["status"] for file in files] == ["made", "failed", "made"]
    assert files[2]["target"] == str(out / "more" / "c.jpg")
    logged = [json.loads(line) for line in (out / LOG_NAME).read_text().splitlines()]
    paths = {"source", "target"}
    assert [{k: v for k, v in file.items() if k not in paths} for file in files] == [
        {k: v for k, v in line.items() if k not in paths} for line in logged
    ]
    summary = report["summary"]
    assert (summary["made"], summary["failed"], summary["up_to_date"]) == (2, 1, 0)
    assert summary["megapixels"] == pytest.approx(2 * 160 * 144 / 1e6)
    assert summary["outputs"] == [str(out)]
    assert report["bundle"] == {"folder": str(bundle), "name": "twin"}
    assert report["backend"]["name"] == "onnxruntime"
    assert "passed parity" in report["backend"]["reason"]
    again = asked(photos, "-o", out, "--bundle", bundle)[1]
    assert [file["status"] for file in again["files"]] == ["up to date", "failed", "up to date"]


def test_json_is_the_same_for_one_file_and_for_an_error(
    bundle: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    code, made = asked(photos / "a.png", "-o", out, "--bundle", bundle)
    assert (code, made["files"][0]["status"]) == (0, "made")
    assert asked(photos / "a.png", "-o", out, "--bundle", bundle)[0] == 2
    code, failed = asked(photos / "b.png", "-o", tmp_path / "b.png", "--bundle", bundle)
    assert (code, failed["files"][0]["status"]) == (2, "failed")
    assert "damaged" in failed["files"][0]["error"]
    assert failed.keys() == made.keys()
    assert failed["files"][0].keys() == made["files"][0].keys()


def test_names_cant_command_the_terminal(bundle: Path, photos: Path, tmp_path: Path) -> None:
    name = b"\x1b[2Jcaf\xe9\n.png".decode("utf-8", "surrogateescape")
    (photos / "a.png").rename(photos / name)
    result = run(photos, "-o", tmp_path / "out", "--bundle", bundle)
    assert "\\x1b[2Jcaf\\udce9\\n.png: 40×36 → 160×144" in result.stdout


def test_limits_are_the_upscalers() -> None:
    options = inspect.signature(upscale).parameters
    assert options["max_megapixels"].default == MAX_MEGAPIXELS
    assert (numbers.SCALE.least, numbers.SCALE.most) == SCALES


@pytest.mark.parametrize("sides", [(1, 1), (1, 4000), (4000, 1)])
def test_extreme_images_work(bundle: Path, tmp_path: Path, sides: tuple[int, int]) -> None:
    Image.new("RGB", sides, "teal").save(tmp_path / "in.png")
    result = run(tmp_path / "in.png", "-o", tmp_path / "out.png", "--bundle", bundle)
    assert result.exit_code == 0
    assert size(tmp_path / "out.png") == (sides[0] * 4, sides[1] * 4)


def test_bad_input_is_refused_in_one_line(bundle: Path, photos: Path, tmp_path: Path) -> None:
    out, image = tmp_path / "out.png", photos / "a.png"
    (tmp_path / "empty").mkdir()
    fake = photos / "fake.png"
    fake.write_text("no image")
    with_bundle = ("-o", out, "--bundle", bundle)
    refused(ImageError, "image", photos / "b.png", *with_bundle)
    refused(ImageError, "found something else", fake, *with_bundle)
    refused(ImageError, "no such file", photos / "z.png", *with_bundle)
    refused(ImageError, "found none", tmp_path / "empty", "-o", tmp_path, "--bundle", bundle)
    refused(ImageError, "not a folder", image, "-o", fake / "x.png", "--bundle", bundle)
    refused(ImageError, "--max-megapixels", image, *with_bundle, "--max-megapixels", "0.01")
    refused(UnsupportedError, "unknown backend", image, *with_bundle, "-b", "abacus")
    refused(UnsupportedError, "unknown color", image, *with_bundle, "--color", "pink")
    refused(UnsupportedError, "unknown provider", image, *with_bundle, "--provider", "abacus")
    refused(UnsupportedError, "unknown format", image, *with_bundle, "--format", "gif")
    refused(BundleError, "in fp8", image, *with_bundle, "--precision", "fp8")
    refused(BundleError, "no bundle here", image, "-o", out, "--bundle", tmp_path)
    assert not out.exists()
    assert not list(tmp_path.rglob(".*"))


def test_without_a_bundle_it_says_how_to_make_one(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tinysr.__file__", str(tmp_path / "__init__.py"))
    refused(BundleError, "tinysr export", photos / "a.png", "-o", tmp_path / "out.png")
