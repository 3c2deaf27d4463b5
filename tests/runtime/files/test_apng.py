"""Frames of animated PNG files: as Pillow composes them, and by the standard where it can't."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.odd_files import chunk
from tests.support.pictures import pixels
from tinysr.errors import ImageError
from tinysr.runtime.files import count_pictures, decode

SIZE = (12, 16)
SOURCE, OVER = 0, 1
NONE, BACKGROUND, PREVIOUS = 0, 1, 2

Part = tuple[NDArray[Any], int, int, int, int]
"""Pixels, left, top, disposal and blending of a frame."""


def packed(image: NDArray[Any]) -> bytes:
    rows = (b"\0" + row.astype(f">u{image.itemsize}").tobytes() for row in image)
    return zlib.compress(b"".join(rows))


def animated(parts: list[Part]) -> bytes:
    first = parts[0][0]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[first.shape[2]]
    header = struct.pack(">IIBBBBB", *SIZE[::-1], 8 * first.itemsize, colour, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    data += chunk(b"acTL", struct.pack(">II", len(parts), 0))
    number = itertools.count()
    for place, (image, left, top, disposal, blend) in enumerate(parts):
        height, width = image.shape[:2]
        control = (next(number), width, height, left, top, 1, 10, disposal, blend)
        data += chunk(b"fcTL", struct.pack(">5IHHBB", *control))
        body = packed(image)
        if place:
            half = len(body) // 2
            for piece in (body[:half], body[half:]):
                data += chunk(b"fdAT", struct.pack(">I", next(number)) + piece)
        else:
            data += chunk(b"IDAT", body)
    return data + chunk(b"IEND", b"")


def frame(data: bytes, number: int) -> NDArray[Any]:
    return decode(data, "x", max_megapixels=1, page=number).raster.pixels


def by_pillow(data: bytes, number: int) -> NDArray[Any]:
    with Image.open(io.BytesIO(data)) as image:
        image.seek(number - 1)
        return np.asarray(image.convert("RGBA"))


def whole(value: int) -> NDArray[Any]:
    image: NDArray[Any] = pixels("uint8", 4, *SIZE)
    image[..., 3] = 255
    image[..., 0] = value
    return image


def patch(*alphas: int) -> NDArray[Any]:
    image: NDArray[Any] = pixels("uint8", 4, 6, 8)[::-1].copy()
    image[..., 3] = np.resize(alphas, (6, 8))
    return image


@pytest.mark.parametrize("disposal", [NONE, BACKGROUND, PREVIOUS])
@pytest.mark.parametrize("blend", [SOURCE, OVER])
def test_frames_are_what_pillow_composes(disposal: int, blend: int) -> None:
    data = animated([
        (whole(9), 0, 0, NONE, SOURCE),
        (patch(255, 0), 3, 2, disposal, blend),
        (patch(255), 8, 6, NONE, blend),
    ])  # fmt: skip
    assert count_pictures(data) == 3
    for number in (1, 2, 3):
        seen, found = by_pillow(data, number), frame(data, number)
        shown = seen[..., 3:] > 0
        np.testing.assert_array_equal(found[..., 3], seen[..., 3])
        np.testing.assert_array_equal(found[..., :3] * shown, seen[..., :3] * shown)


def test_half_transparent_parts_in_sixteen_bits_are_mixed_by_the_standard() -> None:
    below, above = pixels("uint16", 4, *SIZE), pixels("uint16", 4, *SIZE)[::-1].copy()
    data = animated([(below, 0, 0, NONE, SOURCE), (above, 0, 0, NONE, OVER)])
    found = frame(data, 2)
    assert found.dtype == np.uint16
    top, bottom = above / 65535, below / 65535
    opacity = top[..., 3:] + bottom[..., 3:] * (1 - top[..., 3:])
    light = top[..., :3] * top[..., 3:] + bottom[..., :3] * bottom[..., 3:] * (1 - top[..., 3:])
    wanted = np.concatenate([light / opacity, opacity], axis=2) * 65535
    np.testing.assert_allclose(found, wanted, atol=0.51)
    np.testing.assert_array_equal(frame(data, 1), below)


@pytest.mark.parametrize("depth", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_opaque_stays_without_opacity(depth: str, channels: int) -> None:
    image = pixels(depth, channels, *SIZE)
    data = animated([(image, 0, 0, NONE, SOURCE), (image[::-1], 0, 0, NONE, OVER)])
    np.testing.assert_array_equal(frame(data, 2), image[::-1])
    gone = animated([(image, 0, 0, BACKGROUND, SOURCE), (image[:5, :7], 4, 3, NONE, OVER)])
    found = frame(gone, 2)
    assert found.shape[2] == channels + 1
    assert found[..., -1].astype(bool).sum() == 35


def test_what_is_damaged_is_refused() -> None:
    data = animated([(whole(1), 0, 0, NONE, SOURCE), (patch(255), 9, 2, NONE, OVER)])
    with pytest.raises(ImageError, match="damaged: its frames are not whole"):
        frame(data, 2)  # beyond the right side
    good = animated([(whole(1), 0, 0, NONE, SOURCE), (whole(2), 0, 0, NONE, OVER)])
    at = good.index(b"fdAT") + 12
    for bad in (good[: at + 3], good[:at] + b"\xff" + good[at + 1 :]):
        with pytest.raises(ImageError, match="the image is damaged"):
            frame(bad, 2)
    with pytest.raises(ImageError, match="expected a page 3, found 2 frames"):
        frame(good, 3)
