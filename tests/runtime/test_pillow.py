"""Pillow images of every mode: taken right, given back in a mode that holds them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tests.support.pictures import gradient, pixels, srgb
from tinysr.errors import ImageError, TinySRError, UnsupportedError
from tinysr.runtime import Upscaler
from tinysr.runtime.pillow import pil_from_raster, raster_from_pil
from tinysr.runtime.raster import Raster

ORIENTATION, ARTIST = 0x0112, 0x013B


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "plain", noise=0.0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"])
def test_every_mode_becomes_the_same_colours(mode: str) -> None:
    """A picture of black and white only, which all modes can hold."""
    squares = (np.indices((16, 16)).sum(axis=0) % 2 * 255).astype(np.uint8)
    scale: dict[str, Any] = {
        "I;16": (257, np.uint16),
        "I": (257, np.int32),
        "F": (1 / 255, np.float32),
    }
    if mode in scale:
        factor, dtype = scale[mode]
        image = Image.fromarray((squares * np.float64(factor)).astype(dtype))
        assert image.mode == mode
    else:
        image = Image.fromarray(squares).convert("RGB").convert(mode)
    found = raster_from_pil(image).pixels
    white = 1 if mode == "F" else np.iinfo(found.dtype).max
    near = 0.16 if mode == "CMYK" else 0.01  # all inks at once are not quite black
    wanted = np.stack([squares / 255] * found.shape[2], axis=2)
    np.testing.assert_allclose(found / white, wanted, atol=near)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "F"])
def test_modes_come_back(mode: str) -> None:
    channels = {"LA": 2, "RGB": 3, "RGBA": 4}.get(mode, 1)
    depth = {"I;16": "uint16", "F": "float32"}.get(mode, "uint8")
    image = pil_from_raster(Raster(pixels=pixels(depth, channels)))
    assert image.mode == mode
    np.testing.assert_array_equal(raster_from_pil(image).pixels, pixels(depth, channels))


def test_cmyk_gets_the_profile_of_what_it_became() -> None:
    found = raster_from_pil(gradient().convert("CMYK"))
    assert found.pixels.shape[2] == 3
    assert found.metadata.icc_profile is not None


@pytest.mark.parametrize("value", [-1.0, 2.0, float("nan")])
def test_floats_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(ImageError, match=r"float pixels in \[0, 1\]"):
        raster_from_pil(Image.fromarray(np.full((4, 4), value, np.float32)))


@pytest.mark.parametrize("value", [-1, 65536])
def test_integers_out_of_range_are_refused(value: int) -> None:
    with pytest.raises(ImageError, match="expected grey values"):
        raster_from_pil(Image.fromarray(np.full((4, 4), value, np.int32)))


def test_images_without_pixels_are_refused(bundle: Path) -> None:
    with Upscaler(bundle) as upscaler, pytest.raises(ImageError, match="at least 1×1"):
        upscaler.upscale(Image.new("RGB", (0, 5)))


def test_orientation_is_applied_once_and_exif_is_kept(bundle: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[ARTIST] = "someone"
    file = io.BytesIO()
    gradient().save(file, "JPEG", exif=exif, quality=100)
    with Upscaler(bundle) as upscaler, Image.open(file) as image:
        turned = upscaler.upscale(image)
    assert turned.size == (36 * 4, 40 * 4)
    again = io.BytesIO()
    turned.save(again, "PNG", exif=turned.info["exif"])
    with Image.open(again) as image:
        assert image.getexif().get(ORIENTATION) == 1
        assert image.getexif()[ARTIST] == "someone"


def test_profiles_are_kept_where_they_fit(bundle: Path) -> None:
    colour, grey = gradient(), gradient().convert("L")
    colour.info["icc_profile"] = grey.info["icc_profile"] = srgb()
    with Upscaler(bundle) as upscaler:
        assert upscaler.upscale(colour).info["icc_profile"] == srgb()
        assert "icc_profile" not in upscaler.upscale(grey).info


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_kept(bundle: Path, mode: str) -> None:
    image = gradient().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    with Upscaler(bundle) as upscaler:
        found = upscaler.upscale(image.convert(mode))
    assert found.mode == ("LA" if mode == "LA" else "RGBA")
    assert found.size == (160, 144)
    back = found.getchannel("A").resize(image.size, Image.Resampling.BOX)
    difference = np.asarray(back, np.int16) - np.asarray(image.getchannel("A"), np.int16)
    assert np.abs(difference).max() <= 3


def test_a_transparent_palette_colour_is_kept(bundle: Path) -> None:
    image = gradient().quantize(8)
    image.info["transparency"] = 0
    with Upscaler(bundle) as upscaler:
        found = upscaler.upscale(image)
    assert found.getchannel("A").getextrema() == (0, 255)


def test_pillow_and_numpy_give_the_same_pixels(bundle: Path) -> None:
    with Upscaler(bundle) as upscaler:
        found = upscaler.upscale(gradient())
        same = upscaler.upscale(np.asarray(gradient()))
    assert found.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(found), same)


def test_all_image_errors_end_with_the_same_exit_code() -> None:
    assert ImageError.exit_code == UnsupportedError.exit_code == TinySRError.exit_code == 2
