"""Image files with something odd: each becomes the picture that other programs see in it, or is
refused in one line that names its kind and says what to do."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from tests.support.odd_cases import (
    DAMAGED,
    FIVE,
    GREY,
    PREMULTIPLIED,
    PREVIEW,
    REFUSED,
    RGB,
    RGBA,
    TAKEN,
    UNSPECIFIED,
)
from tests.support.odd_files import tiff
from tests.support.pictures import by_tifffile, photo
from tinysr.errors import ImageError
from tinysr.runtime.files import Decoded, decode


def opened(data: bytes) -> Decoded:
    return decode(data, "this", max_megapixels=1)


def seen(reader: Callable[[bytes], NDArray[Any]], data: bytes) -> NDArray[Any]:
    found = reader(data)
    return found if found.ndim == 3 else found[..., None]


@pytest.mark.parametrize("name", TAKEN)
def test_odd_files_show_what_other_programs_see(name: str) -> None:
    case = TAKEN[name]
    found = opened(case.data)
    wanted = seen(case.reader, case.data)
    assert found.raster.pixels.shape == wanted.shape
    np.testing.assert_allclose(
        found.raster.pixels.astype(float), wanted.astype(float), rtol=0, atol=case.near
    )
    assert [note.split()[0] for note in found.notes] == [str(case.left_out)] * bool(case.left_out)


def test_what_is_premultiplied_is_divided_by_the_channel_that_is_opacity() -> None:
    opacity = RGBA[..., 3:].astype(float) / 255
    multiplied = (RGB * opacity).round().astype(np.uint8)
    image = np.concatenate([multiplied, 255 - GREY, RGBA[..., 3:]], axis=2)
    found = opened(tiff(image, 2, {338: [UNSPECIFIED, PREMULTIPLIED]})).raster.pixels
    np.testing.assert_allclose(found.astype(int), RGBA, atol=3)


def test_a_spot_colour_is_left_out_of_cmyk() -> None:
    spot = opened(tiff(FIVE, 5, {338: UNSPECIFIED}))
    np.testing.assert_array_equal(spot.raster.pixels, opened(tiff(RGBA, 5)).raster.pixels)
    assert len(spot.notes) == 1


@pytest.mark.parametrize("name", REFUSED)
def test_other_files_are_refused_by_the_name_of_their_kind(name: str) -> None:
    data, words = REFUSED[name]
    with pytest.raises(ImageError, match=words) as caught:
        opened(data)
    line = str(caught.value)
    assert "\n" not in line
    assert ("damaged" in line) == words.startswith(DAMAGED)
    assert line.startswith("this: ")
    assert not line.endswith(": ")
    assert caught.value.exit_code == 2


def test_a_copy_says_nothing_about_the_picture() -> None:
    """Metadata is the picture's, which is the second directory."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(PREVIEW, photometric="rgb", subfiletype=1, description="copy")
        writer.write(RGB, photometric="rgb", description="picture", resolution=(240, 240))
    found = opened(file.getvalue()).raster.metadata
    assert found.exif is not None
    assert b"picture" in found.exif
    assert b"copy" not in found.exif
    assert found.dpi == pytest.approx((240, 240))


def test_a_list_of_directories_that_goes_round_ends() -> None:
    data = bytearray(tiff(RGB, 2))
    first = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[first : first + 2], "little")
    following = first + 2 + 12 * entries
    data[following : following + 4] = data[4:8]
    np.testing.assert_array_equal(opened(bytes(data)).raster.pixels, RGB)


def test_photos_of_every_format_have_no_notes(tmp_path: Path) -> None:
    for name in ("png", "jpg", "webp", "tiff"):
        assert opened(photo(name)).notes == ()
    by_tifffile(RGBA, tmp_path / "a.tif")
    assert opened((tmp_path / "a.tif").read_bytes()).notes == ()
