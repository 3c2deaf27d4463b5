"""Files of other programs: every format, depth and layout becomes the pixels that were written."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import (
    CHANNELS,
    DEPTHS,
    by_opencv,
    by_tifffile,
    of_space,
    pixels,
    read,
    srgb,
)


def by_pillow(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("depth", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_by_opencv(depth: str, channels: int) -> None:
    image = pixels(depth, channels)
    found = read(by_opencv(image, ".png")).pixels
    assert found.dtype == depth
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(
    "options", [{}, {"tile": (16, 16)}, {"byteorder": ">"}, {"bigtiff": True}, {"rowsperstrip": 3}]
)
def test_tiff_by_tifffile(depth: str, channels: int, options: dict[str, Any]) -> None:
    image, file = pixels(depth, channels), io.BytesIO()
    by_tifffile(image, file, **options)
    found = read(file.getvalue()).pixels
    assert found.dtype == depth
    np.testing.assert_array_equal(found, image)


def test_planes_of_a_tiff_are_joined() -> None:
    image, file = pixels("uint16"), io.BytesIO()
    by_tifffile(image.transpose(2, 0, 1), file, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read(file.getvalue()).pixels, image)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "jpeg", None])
def test_compressed_tiff_by_pillow(compression: str | None) -> None:
    data = by_pillow(Image.fromarray(pixels()), "TIFF", compression=compression)
    near = 6 if compression == "jpeg" else 0
    np.testing.assert_allclose(read(data).pixels.astype(int), pixels().astype(int), atol=near)


def test_associated_alpha_becomes_straight() -> None:
    straight = pixels("uint16", 4)
    colour = straight[..., :3].astype(np.float64) * (straight[..., 3:] / 65535)
    stored = np.concatenate([colour.round().astype(np.uint16), straight[..., 3:]], axis=2)
    file = io.BytesIO()
    by_tifffile(stored, file, extrasamples=["assocalpha"])
    np.testing.assert_allclose(read(file.getvalue()).pixels.astype(int), straight, atol=3)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_is_decoded_as_pillow_does(mode: str) -> None:
    data = by_pillow(Image.fromarray(pixels()).convert(mode), "JPEG", progressive=True)
    with Image.open(io.BytesIO(data)) as image:
        seen = np.asarray(image)
    found = read(data).pixels
    np.testing.assert_allclose(found.reshape(seen.shape).astype(int), seen.astype(int), atol=1)


@pytest.mark.parametrize("channels", [3, 4])
def test_webp(channels: int) -> None:
    image = pixels(channels=channels)
    data = by_pillow(Image.fromarray(image), "WEBP", lossless=True, exact=True)
    np.testing.assert_array_equal(read(data).pixels, image)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmp(mode: str) -> None:
    image = Image.fromarray(pixels()).convert(mode)
    found = read(by_pillow(image, "BMP")).pixels
    wanted = "L" if mode in ("1", "L") else "RGB"
    np.testing.assert_array_equal(found.squeeze(), np.asarray(image.convert(wanted)))


def test_palettes_and_bits_become_colours() -> None:
    image = Image.fromarray(pixels()).quantize(16)
    np.testing.assert_array_equal(read(by_pillow(image, "PNG")).pixels, image.convert("RGB"))
    clear = read(by_pillow(image, "PNG", transparency=3)).pixels
    assert clear.shape[2] == 4
    np.testing.assert_array_equal(clear[..., 3] == 0, np.asarray(image) == 3)
    bits = image.convert("1")
    found = read(by_pillow(bits, "PNG")).pixels
    np.testing.assert_array_equal(found[..., 0], np.asarray(bits) * np.uint8(255))


def test_a_transparent_colour_becomes_alpha() -> None:
    image = pixels()
    image[5:8, 5:8] = (1, 2, 3)
    found = read(by_pillow(Image.fromarray(image), "PNG", transparency=(1, 2, 3))).pixels
    np.testing.assert_array_equal(found[..., 3] == 0, (image == (1, 2, 3)).all(axis=2))


def test_cmyk_is_shown_as_pillow_shows_it() -> None:
    """Two ways through littleCMS; neither has a profile, so colours are near, not the same."""
    inks = Image.fromarray(pixels()).convert("CMYK")
    found = read(by_pillow(inks, "JPEG", quality=100))
    assert found.pixels.shape[2] == 3
    assert found.metadata.icc_profile is not None
    white = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    assert read(by_pillow(white, "TIFF")).pixels.min() >= 250
    black = Image.new("CMYK", (8, 8), (255, 255, 255, 255))
    assert read(by_pillow(black, "JPEG")).pixels.max() <= 40
    cyan = read(by_pillow(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "TIFF")).pixels[4, 4]
    assert cyan[0] < 60
    assert 120 < cyan[1] < cyan[2]


def test_sixteen_bit_cmyk_keeps_its_depth() -> None:
    inks, file = pixels("uint16", 4), io.BytesIO()
    by_tifffile(inks, file, photometric="separated", extrasamples=[])
    found = read(file.getvalue()).pixels
    assert (found.dtype, found.shape[2]) == (np.dtype(np.uint16), 3)
    assert len(np.unique(found & 0xFF)) > 100


def test_profiles_come_as_they_lie() -> None:
    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        data = by_pillow(Image.fromarray(pixels()), kind, icc_profile=srgb())
        assert read(data).metadata.icc_profile == srgb(), kind


def test_profiles_of_other_colour_spaces_are_left_out() -> None:
    wrong = of_space(srgb(), b"CMYK")
    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        data = by_pillow(Image.fromarray(pixels()), kind, icc_profile=wrong)
        assert read(data).metadata.icc_profile is None, kind
    grey = by_pillow(Image.fromarray(pixels()).convert("L"), "TIFF", icc_profile=srgb())
    assert read(grey).metadata.icc_profile is None


def test_what_opencv_reads_is_what_we_read_of_its_jpeg() -> None:
    data = by_opencv(pixels(), ".jpg", (cv2.IMWRITE_JPEG_QUALITY, 95))
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), 1)
    assert decoded is not None
    seen = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    np.testing.assert_allclose(read(data).pixels.astype(int), seen.astype(int), atol=1)
