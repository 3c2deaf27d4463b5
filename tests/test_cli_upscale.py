"""`tinysr upscale`, as a user types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from bundles import make_bundle
from tinysr.cli.upscale import upscale
from tinysr.errors import BundleError, ImageError, TinySRError, UnsupportedError
from tinysr.runtime.images import load


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
    assert load(tmp_path / "big.webp").size == (160, 144)
    for words in ("40×36 → 160×144", "made 1 image:", "per second", str(bundle), "onnxruntime"):
        assert words in result.stdout


def test_a_batch_finishes_and_reports_the_bad_file(
    bundle: Path, photos: Path, tmp_path: Path
) -> None:
    result = run(photos, "-o", tmp_path / "out", "--bundle", bundle)
    assert result.exit_code == 2
    made = sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*.*"))
    assert made == [Path("a.png"), Path("more/c.jpg")]
    assert "made 2 of 3 images" in result.stdout
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
    assert load(out / "more" / "c.jpg").size == (160, 144)
    assert run(photos, "-o", out, "--bundle", bundle, "--overwrite").exit_code == 0
    assert load(out / "a.png").size == (160, 144)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1)])
def test_extreme_images_work(bundle: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, "teal").save(tmp_path / "in.png")
    result = run(tmp_path / "in.png", "-o", tmp_path / "out.png", "--bundle", bundle)
    assert result.exit_code == 0
    assert load(tmp_path / "out.png").size == (size[0] * 4, size[1] * 4)


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
