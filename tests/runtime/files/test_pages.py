"""One page of a TIFF, one frame of an animation: the one that another library has by its number."""

from __future__ import annotations

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.support.pictures import pixels
from tinysr.errors import ImageError
from tinysr.runtime.files import decode

FRAMES = [np.full((16, 24, 3), value, np.uint8) for value in ((9, 0, 0), (0, 99, 0), (0, 0, 200))]


def animation(kind: str) -> bytes:
    file = io.BytesIO()
    first, *rest = (Image.fromarray(frame) for frame in FRAMES)
    options = {"lossless": True} if kind == "WEBP" else {}
    first.save(file, kind, save_all=True, append_images=rest, **options)
    return file.getvalue()


def taken(data: bytes, page: int | None) -> np.ndarray:
    return decode(data, "x", max_megapixels=1, page=page).raster.pixels


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("page", [1, 2, 3])
def test_the_page_that_was_asked_for_is_taken(kind: str, page: int) -> None:
    data = animation(kind)
    with Image.open(io.BytesIO(data)) as image:
        image.seek(page - 1)
        seen = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(taken(data, page)[..., :3], seen)
    np.testing.assert_array_equal(seen, FRAMES[page - 1])


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_a_page_that_is_not_there_is_refused(kind: str) -> None:
    with pytest.raises(ImageError, match=r"expected a page 4, found 3 (pages|frames)"):
        taken(animation(kind), 4)
    with pytest.raises(ImageError, match=r"found 3 (pages|frames): take one with --page N"):
        taken(animation(kind), None)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "AVIF", "TGA"])
def test_a_still_image_has_one_page(kind: str) -> None:
    file = io.BytesIO()
    Image.fromarray(pixels()).save(file, kind)
    assert taken(file.getvalue(), 1).shape == (20, 28, 3)
    with pytest.raises(ImageError, match="expected a page 2, found a single image"):
        taken(file.getvalue(), 2)


def avif(mode: str, **options: object) -> bytes:
    file = io.BytesIO()
    first, *rest = (Image.fromarray(frame).convert(mode) for frame in FRAMES)
    first.save(file, "AVIF", save_all=True, append_images=rest, quality=100, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("page", [1, 2, 3])
def test_frames_of_avif_are_what_imagecodecs_sees(mode: str, page: int) -> None:
    data = avif(mode, subsampling="4:0:0" if mode == "L" else "4:4:4")
    found = taken(data, page)
    assert found.shape == (16, 24, len(mode))
    seen = np.asarray(imagecodecs.avif_decode(data))[page - 1]
    seen = seen[..., : len(mode)] if seen.ndim == 3 else seen[..., None]
    np.testing.assert_allclose(found.astype(int), seen.astype(int), atol=2)
    wanted = np.asarray(Image.fromarray(FRAMES[page - 1]).convert(mode)).reshape(found.shape)
    np.testing.assert_allclose(found.astype(int), wanted, atol=3)


def test_colours_of_frames_of_avif_are_kept_and_deep_ones_refused() -> None:
    data = bytearray(avif("RGB"))
    at = data.rindex(b"nclx") + 4
    data[at : at + 4] = struct.pack(">HH", 9, 16)
    found = decode(bytes(data), "x", max_megapixels=1, page=2).raster
    assert found.metadata.png_colour == ((b"cICP", bytes([9, 16, 0, 1])),)
    data[data.rindex(b"av1C") + 6] |= 0x40
    with pytest.raises(ImageError, match="more than 8 bits are not read: save each as a file"):
        taken(bytes(data), 2)


@pytest.mark.parametrize("kind", [1, 4])
def test_reduced_copies_and_masks_are_no_pages(kind: int) -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(pixels(), photometric="rgb")
        if kind == 1:
            writer.write(pixels()[::2, ::2], photometric="rgb", subfiletype=kind)
        else:
            writer.write(np.zeros((20, 28), bool), photometric=4, subfiletype=kind)
        writer.write(pixels()[::-1], photometric="rgb")
    np.testing.assert_array_equal(taken(file.getvalue(), 2), pixels()[::-1])
    with pytest.raises(ImageError, match="expected a page 3, found 2 pages"):
        taken(file.getvalue(), 3)
