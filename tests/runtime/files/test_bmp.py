"""Colours that a BMP file of version 4 says by numbers, as LittleCMS reads their profile."""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.support.pictures import pixels, read
from tinysr.errors import ImageError
from tinysr.runtime.files import encode_into

ADOBE = ((0.64, 0.33, 0.03), (0.21, 0.71, 0.08), (0.15, 0.06, 0.79))
ADOBE_XYZ = ((0.57667, 0.29734, 0.02703), (0.18556, 0.62736, 0.07069), (0.18823, 0.07529, 0.99134))
SRGB = ((0.64, 0.33, 0.03), (0.3, 0.6, 0.1), (0.15, 0.06, 0.79))
NOTHING = ((0.0,) * 3,) * 3
SQUARES = (2.2, 2.2, 2.2)


def bmp(points: Sequence[Sequence[float]], gammas: Sequence[float], kind: int = 0) -> bytes:
    image = pixels(width=28)
    rows = image[::-1, :, ::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 108, 28, 20, 1, 24, 0, len(rows), 0, 0, 0, 0) + bytes(16)
    numbers = [round(part * 2**30) for point in points for part in point]
    header += struct.pack("<I9i3I", kind, *numbers, *(round(gamma * 2**16) for gamma in gammas))
    start = b"BM" + struct.pack("<IHHI", 122 + len(rows), 0, 0, 122)
    return start + header + bytes(rows)


@pytest.mark.parametrize("points", [ADOBE, ADOBE_XYZ])
def test_calibrated_colours_become_a_profile(points: Sequence[Sequence[float]]) -> None:
    found = read(bmp(points, SQUARES))
    np.testing.assert_array_equal(found.pixels, pixels(width=28))
    with tempfile.TemporaryFile() as file:
        encode_into(found, "tiff", file, "picture")
        file.seek(0)
        with Image.open(io.BytesIO(file.read())) as image:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])).profile
    for seen, (red, green, blue) in (
        (profile.red_colorant, (0.6097, 0.3111, 0.0195)),
        (profile.green_colorant, (0.2053, 0.6257, 0.0609)),
        (profile.blue_colorant, (0.1492, 0.0632, 0.7448)),
    ):
        assert seen is not None
        np.testing.assert_allclose(seen[0], (red, green, blue), atol=2e-3)


@pytest.mark.parametrize(
    "data",
    [bmp(NOTHING, SQUARES), bmp(ADOBE, (0, 0, 0)), bmp(ADOBE, SQUARES, 0x73524742)],
    ids=["no primaries", "no gamma", "sRGB"],
)
def test_zeros_and_srgb_say_nothing(data: bytes) -> None:
    assert read(data).metadata.png_colour == ()


def test_what_is_nearly_srgb_needs_no_profile() -> None:
    found = read(bmp(SRGB, SQUARES))
    with tempfile.TemporaryFile() as file:
        encode_into(found, "jpg", file, "picture")
        file.seek(0)
        with Image.open(io.BytesIO(file.read())) as image:
            assert "icc_profile" not in image.info


def test_a_gamma_for_each_colour_is_refused() -> None:
    with pytest.raises(ImageError, match="BMP whose colours have a gamma each is not supported"):
        read(bmp(ADOBE, (2.2, 1.8, 2.2)))
