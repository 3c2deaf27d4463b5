"""Formats that are read and not written: each as a second library sees it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.pictures import by_opencv, exif, pixels, read, seen_by_opencv, srgb
from tinysr.errors import ImageError
from tinysr.runtime.files import decode


def saved(image: NDArray[Any] | Image.Image, kind: str, **options: Any) -> bytes:
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def seen_by_pillow(data: bytes) -> NDArray[Any]:
    with Image.open(io.BytesIO(data)) as image:
        wanted = image.mode if image.mode in {"L", "LA", "RGB", "RGBA"} else "RGB"
        wanted = "RGBA" if "transparency" in image.info else wanted
        found = np.asarray(image.convert(wanted))
    return found if found.ndim == 3 else found[..., None]


def refused(data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        read(data)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("kind", "channels", "options"),
    [
        *(("JPEG2000", channels, {}) for channels in (1, 2, 3, 4)),
        *(("TGA", channels, {"compression": c}) for channels in (1, 2, 3, 4)
          for c in (None, "tga_rle")),
        *(("QOI", channels, {}) for channels in (3, 4)),
        *(("GIF", channels, {}) for channels in (1, 3, 4)),
        *(("PPM", channels, {}) for channels in (1, 3)),
        *(("ICO", channels, {"bitmap_format": b, "sizes": [(28, 20)]}) for channels in (3, 4)
          for b in ("png", "bmp")),
    ],
)  # fmt: skip
def test_whole_files_are_what_pillow_sees(kind: str, channels: int, options: Any) -> None:
    data = saved(pixels("uint8", channels), kind, **options)
    found, wanted = read(data).pixels, seen_by_pillow(data)
    if kind == "GIF" and channels == 1:  # palettes become RGB
        wanted = wanted[..., [0, 0, 0]]
    if kind == "ICO" and channels == 3 and options["bitmap_format"] == "bmp":
        wanted = np.dstack([wanted[..., :3], np.full((20, 28), 255, np.uint8)])
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("suffix", [".ppm", ".pgm"])
@pytest.mark.parametrize("depth", ["uint8", "uint16"])
@pytest.mark.parametrize("binary", [0, 1])
def test_netpbm_is_what_opencv_sees(suffix: str, depth: str, binary: int) -> None:
    image = pixels(depth, 3 if suffix == ".ppm" else 1)
    data = by_opencv(image, suffix, (cv2.IMWRITE_PXM_BINARY, binary))
    found = read(data).pixels
    np.testing.assert_array_equal(found, image)
    assert found.dtype == image.dtype


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"P1\n# by hand\n3 2\n1 0 1\n0 1 0\n", [[0, 255, 0], [255, 0, 255]]),
        (b"P1 3 2\n101010", [[0, 255, 0], [255, 0, 255]]),
        (b"P4\n3 2\n\xa0\x40", [[0, 255, 0], [255, 0, 255]]),
        (b"P2 3 1 #c\n 4 0 2 4", [[0, 128, 255]]),
        (b"P5 3 1 15\n\0\x07\x0f", [[0, 119, 255]]),
        (b"P5 2 1 1023\n\3\xff\2\0", [[65535, 32800]]),
    ],
)
def test_netpbm_values_are_scaled_to_the_whole_range(data: bytes, wanted: list[list[int]]) -> None:
    np.testing.assert_array_equal(read(data).pixels[..., 0], wanted)


@pytest.mark.parametrize(
    "data",
    [b"P5 3 1 255\n\0", b"P2 3 1 255\n1 2", b"P4 9 2\n\0\0\0", b"P1 2 2\n1", b"P5 2", b"P2 1 1 9 x",
     b"P5 1 1 7\n\x09", b"P2 1 1 0 0", b"P1 2 1\n1 7", b"P5 1 1 99999\n\0\0"],
)  # fmt: skip
def test_damaged_netpbm_is_refused(data: bytes) -> None:
    refused(data, "the image is damaged")


def test_deep_grey_in_jpeg_2000_keeps_its_depth() -> None:
    image = pixels("uint16", 1, 96, 128)
    data = by_opencv(image, ".jp2")
    found = read(data).pixels
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, seen_by_opencv(data))


def test_deep_colours_in_jpeg_2000_are_refused_by_name() -> None:
    data = by_opencv(pixels("uint16", 3, 96, 128), ".jp2")
    refused(data, "JPEG 2000 in colours of 16-bit values is not supported: convert it to TIFF")


def with_colour_box(data: bytes, body: bytes) -> bytes:
    """Return a JP2 file with another box for its colours."""
    at = data.index(b"colr") - 4
    (length,) = struct.unpack_from(">I", data, at)
    box = struct.pack(">I", len(body) + 8) + b"colr" + body
    head = data.index(b"jp2h") - 4
    (before,) = struct.unpack_from(">I", data, head)
    size = struct.pack(">I", before + len(box) - length)
    return data[:head] + size + data[head + 4 : at] + box + data[at + length :]


def test_a_profile_in_jpeg_2000_is_kept() -> None:
    data = with_colour_box(saved(pixels(), "JPEG2000"), b"\2\0\0" + srgb())
    found = read(data)
    assert found.metadata.icc_profile == srgb()
    np.testing.assert_array_equal(found.pixels, pixels())


@pytest.mark.parametrize(("number", "name"), [(12, "CMYK"), (14, "CIELab"), (99, "kind 99")])
def test_other_colours_in_jpeg_2000_are_refused_by_name(number: int, name: str) -> None:
    data = with_colour_box(saved(pixels(), "JPEG2000"), b"\1\0\0" + struct.pack(">I", number))
    refused(data, f"JPEG 2000 in .*{name}.* is not supported")


def changed(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value]) + data[at + 1 :]


def test_the_fourth_channel_of_a_tga_is_opacity_unless_it_is_none() -> None:
    image = pixels("uint8", 4)
    data = saved(image, "TGA")
    assert read(data).pixels.shape[2] == 4
    hidden = image.copy()
    hidden[..., 3] = 0
    np.testing.assert_array_equal(read(saved(hidden, "TGA")).pixels, image[..., :3])
    assert data.endswith(b"TRUEVISION-XFILE.\0")
    body, at = data[:-26], len(data) - 26
    for kind, channels in ((0, 3), (2, 3), (3, 4)):
        extension = struct.pack("<H", 495) + bytes(492) + bytes([kind])
        again = body + extension + struct.pack("<II", at, 0) + data[-18:]
        assert read(again).pixels.shape[2] == channels
    extension = struct.pack("<H", 495) + bytes(492) + b"\4"
    refused(body + extension + struct.pack("<II", at, 0) + data[-18:], "multiplied")


def test_a_tga_without_a_footer_is_known_by_its_header() -> None:
    data = saved(pixels(), "TGA")[:-26]
    np.testing.assert_array_equal(read(data).pixels, pixels())
    refused(changed(data, 16, 13), "found something else")


def test_of_an_icon_the_largest_picture_is_taken() -> None:
    image = pixels("uint8", 4, 64, 64)
    data = saved(image, "ICO", sizes=[(16, 16), (64, 64), (32, 32)])
    np.testing.assert_array_equal(read(data).pixels, image)


@pytest.mark.parametrize("kind", ["JPEG2000", "TGA", "QOI", "GIF", "PPM", "ICO"])
def test_what_they_are_is_told_by_their_header(kind: str) -> None:
    names = {"JPEG2000": "jp2", "PPM": "netpbm"}
    data = saved(pixels("uint8", 3, 32, 32), kind)
    assert decode(data, "x", max_megapixels=1).format == names.get(kind, kind.lower())


SAMPLINGS = ("4:4:4", "4:2:0")
AVIF_MODES: dict[str, Callable[[], Image.Image]] = {
    "L": lambda: Image.fromarray(pixels("uint8", 1)[..., 0]),
    "LA": lambda: Image.fromarray(pixels("uint8", 2)),
    "RGB": lambda: Image.fromarray(pixels("uint8", 3)),
    "RGBA": lambda: Image.fromarray(pixels("uint8", 4)),
}


@pytest.mark.parametrize(
    ("mode", "sampling"),
    [("L", "4:0:0"), ("LA", "4:0:0"), *((m, s) for m in ("RGB", "RGBA") for s in SAMPLINGS)],
)
@pytest.mark.parametrize("span", ["full", "limited"])
def test_avif_is_what_libavif_sees(mode: str, span: str, sampling: str) -> None:
    image = AVIF_MODES[mode]()
    data = saved(image, "AVIF", quality=100, range=span, subsampling=sampling)
    found, wanted = read(data).pixels.astype(int), seen_by_pillow(data).astype(int)
    assert found.shape[2] == len(mode)
    if mode in {"L", "LA"}:
        wanted = wanted[..., [0, *range(3, wanted.shape[2])]]
    # Decoders round, and interpolate colours of half the size, in their own ways.
    near = 12 if sampling == "4:2:0" else 2
    np.testing.assert_allclose(found, wanted, rtol=0, atol=near)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_once(orientation: int) -> None:
    options = {"exif": exif(orientation), "icc_profile": srgb(), "subsampling": "4:4:4"}
    data = saved(pixels(), "AVIF", quality=100, **options)
    found = read(data)
    with Image.open(io.BytesIO(data)) as image:
        plain = np.asarray(image)
        turned = {1: plain, 2: plain[:, ::-1], 3: plain[::-1, ::-1], 4: plain[::-1],
                  5: plain.transpose(1, 0, 2), 6: np.rot90(plain, -1),
                  7: np.rot90(plain[:, ::-1], -1), 8: np.rot90(plain)}[orientation]  # fmt: skip
    np.testing.assert_allclose(found.pixels.astype(int), turned.astype(int), rtol=0, atol=2)
    assert found.metadata.icc_profile == srgb()
    assert found.metadata.dpi == (240, 240)


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_avif_fills_sixteen_bits(bits: int) -> None:
    import pyvips

    image = np.zeros((24, 32, 3), np.uint16)
    image[:, 16:] = 65535
    source = pyvips.Image.new_from_memory(image, 32, 24, 3, "ushort").copy(interpretation="rgb16")
    data = source.heifsave_buffer(compression="av1", lossless=True, bitdepth=bits)
    found = read(data).pixels
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, image)


def test_colours_of_avif_by_numbers_are_kept_for_png() -> None:
    data = bytearray(saved(pixels(), "AVIF", quality=100))
    assert read(bytes(data)).metadata.png_colour == ()
    at = data.index(b"nclx") + 4
    data[at : at + 4] = struct.pack(">HH", 9, 16)
    assert read(bytes(data)).metadata.png_colour == ((b"cICP", bytes([9, 16, 0, 1])),)


@pytest.mark.parametrize("kind", ["GIF", "AVIF"])
def test_animations_are_refused(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), (value, 0, 0)) for value in (0, 100, 200)]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    refused(data, "expected one still image, found 3 frames")
