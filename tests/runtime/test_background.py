"""Transparency and formats that hold none: known when a file is read, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tests.support.pictures import DEPTHS, WHITE
from tinysr.errors import UnsupportedError
from tinysr.runtime import Upscaler
from tinysr.runtime.background import has_transparency, parse_colour, put_on_background
from tinysr.runtime.raster import Raster


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "twin")


def cutout() -> Image.Image:
    """Return a red square, clear on the left, half clear in the middle, opaque on the right."""
    pixels = np.zeros((36, 36, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[:, 12:24, 3], pixels[:, 24:, 3] = 128, 255
    return Image.fromarray(pixels)


def test_jpeg_refuses_transparency_before_the_network_runs_and_says_what_to_do(
    run: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cutout().save("a.png")
    monkeypatch.setattr(Upscaler, "infer", None)
    code, _, err = run("upscale", "a.png", "-o", "out.jpg", "--bundle", bundle)
    assert code == 2
    assert err.startswith("error: a.png: JPEG holds no transparency: write png, webp or tiff")
    assert "--background white" in err
    assert not Path("out.jpg").exists()


def test_a_background_makes_it_opaque_and_the_others_are_made(run: Any, bundle: Path) -> None:
    Path("in").mkdir()
    cutout().save("in/a.png")
    Image.new("RGB", (36, 36), "navy").save("in/b.png")
    words = ("upscale", "in", "-o", "out", "--format", "jpeg", "--bundle", bundle, "--json")
    code, out, _ = run(*words)
    assert code == 2
    assert [file["status"] for file in json.loads(out)["files"]] == ["failed", "made"]
    code, out, _ = run(*words, "--background", "#0000ff", "--overwrite")
    assert code == 0
    with Image.open("out/a.jpg") as made:
        colours = [made.getpixel((x, 72)) for x in (16, 72, 128)]
    assert made.size == (144, 144)
    for found, expected in zip(colours, [(0, 0, 255), (128, 0, 127), (255, 0, 0)], strict=True):
        np.testing.assert_allclose(np.array(found), expected, atol=40)  # the twin adds noise


@pytest.mark.parametrize("depth", DEPTHS)
def test_values_are_blended_as_they_are(depth: str) -> None:
    white = WHITE[depth]
    pixels = np.array([[[0, 0, 0, 0], [white, 0, 0, white]]], depth)
    found = put_on_background(Raster(pixels=pixels), (255, 255, 255)).pixels
    assert found.dtype == depth
    assert found.tolist() == [[[white] * 3, [white, 0, 0]]]
    half = np.array([[[white, 0, 0, white / 2]]]).astype(depth)
    mixed = put_on_background(Raster(pixels=half), (0, 0, 255)).pixels[0, 0] / white
    np.testing.assert_allclose(mixed, [0.5, 0, 0.5], atol=0.005)


def test_grey_stays_grey_behind_grey_and_becomes_rgb_behind_a_colour() -> None:
    raster = Raster(pixels=np.array([[[200, 0]]], np.uint8))
    assert put_on_background(raster, (9, 9, 9)).pixels.tolist() == [[[9]]]
    assert put_on_background(raster, (1, 2, 3)).pixels.tolist() == [[[1, 2, 3]]]
    opaque = Raster(pixels=np.array([[[200]]], np.uint8))
    assert put_on_background(opaque, (1, 2, 3)) is opaque


def test_only_what_shows_something_behind_it_is_transparent() -> None:
    assert not has_transparency(np.full((2, 2, 4), 255, np.uint8))
    assert not has_transparency(np.zeros((2, 2, 3), np.uint8))
    assert has_transparency(np.full((2, 2, 2), 254, np.uint8))
    assert has_transparency(np.full((2, 2, 4), 0.999, np.float32))


@pytest.mark.parametrize("text", ["white", "#fff", "#ffffff", "rgb(255, 255, 255)", " White "])
def test_colours_are_those_of_css(text: str) -> None:
    assert parse_colour(text) == (255, 255, 255)


@pytest.mark.parametrize(
    ("text", "words"),
    [("whit", "expected a colour such as white"), ("#ffffff80", "without transparency")],
)
def test_what_is_no_colour_is_refused(text: str, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        parse_colour(text)
