"""JPEG XL: as imagecodecs sees it, refused by its header, and by name where the package lacks."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import brotli
import numpy as np
import piexif
import pillow_jxl
import pytest
from PIL import Image, ImageCms

from tests.support.jxl_files import (
    by_imagecodecs,
    by_plugin,
    codes_of,
    in_container,
    seen_by_imagecodecs,
    with_colours,
    with_fields,
)
from tests.support.pictures import AUTHOR, XMP, exif, photo, pixels, read, srgb
from tinysr.errors import ImageError
from tinysr.runtime.files import (
    Header,
    check_writable,
    decode,
    encode_into,
    find_format,
    jxl_profile,
)
from tinysr.runtime.files.jxl_header import read_header
from tinysr.runtime.folder import plan_work
from tinysr.runtime.metadata.profiles import make_profile
from tinysr.runtime.raster import Metadata, Raster

P3 = make_profile((0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), (2.2,), grey=False)
GREY = make_profile((0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), (2.2,), grey=True)


def notes(data: bytes) -> tuple[str, ...]:
    return decode(data, "x", max_megapixels=1).notes


def written(raster: Raster) -> bytes:
    file = io.BytesIO()
    encode_into(raster, "jxl", file, "picture")
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("lossless", [True, False])
def test_eight_bits_are_what_imagecodecs_sees(channels: int, lossless: bool) -> None:
    data = by_imagecodecs(pixels("uint8", channels), lossless=lossless)
    found = read(data).pixels
    near = 0 if lossless else 1
    np.testing.assert_allclose(found.astype(int), seen_by_imagecodecs(data).astype(int), atol=near)
    if lossless:
        np.testing.assert_array_equal(found, pixels("uint8", channels))


@pytest.mark.parametrize("depth", ["uint16", "float32"])
def test_deep_grey_keeps_its_depth(depth: str) -> None:
    for channels in (1, 2) if depth == "uint16" else (1,):
        found = read(by_imagecodecs(pixels(depth, channels)))
        np.testing.assert_array_equal(found.pixels, pixels(depth, channels))
        assert found.pixels.dtype == depth


@pytest.mark.parametrize(("depth", "words"), [
    ("uint16", "JPEG XL in colours of 16-bit values is not supported: convert it to TIFF first"),
    ("float32", "JPEG XL in 32-bit floats is not supported"),
])  # fmt: skip
def test_deep_colours_are_refused_by_name(depth: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read(by_imagecodecs(pixels(depth, 3)))


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (256, 256), (9, 12), (20, 28), (300, 200),
                                  (30, 20), (1, 9000), (512, 300)])  # fmt: skip
def test_the_header_tells_the_size(size: tuple[int, int]) -> None:
    width, height = size
    header = read_header(by_plugin(np.zeros((height, width, 3), np.uint8)))
    assert (header.width, header.height) == size


def test_a_small_file_of_a_huge_picture_is_refused_by_its_header(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = bytearray(by_plugin(pixels()))
    # Both sides have 30 bits, which stand behind the signature and two bits that say so.
    bits = int.from_bytes(data[:2], "little") | (0b110 | (2**30 - 1) << 3) << 16
    bits |= (0b000 | 0b11 << 3 | (2**30 - 1) << 5) << (16 + 33)
    huge = bits.to_bytes(20, "little") + bytes(data[6:])
    monkeypatch.setattr(pillow_jxl, "Decoder", None)
    with pytest.raises(ImageError, match="at most 1 megapixels, found 1073741824×1073741824"):
        decode(huge, "x", max_megapixels=1)


def test_a_file_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(header: Header) -> None:
        assert (header.width, header.height, header.channels) == (28, 20, 4)
        raise ImageError("not this")

    monkeypatch.setattr(pillow_jxl, "Decoder", None)
    with pytest.raises(ImageError, match="not this"):
        decode(by_plugin(pixels("uint8", 4)), "x", max_megapixels=1, accept=refuse)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_once_and_keeps_its_metadata(orientation: int) -> None:
    data = photo("jxl", orientation)
    found = read(data)
    np.testing.assert_array_equal(found.pixels, seen_by_imagecodecs(data))
    assert found.size == ((28, 20) if orientation < 5 else (20, 28))
    assert found.metadata.icc_profile == srgb()
    assert found.metadata.dpi == (240, 240)
    assert piexif.load(found.metadata.exif)["0th"][piexif.ImageIFD.Artist] == AUTHOR
    assert found.metadata.xmp == XMP.replace(b'tion="6"', b'tion="1"')


def test_metadata_that_brotli_packed_is_read() -> None:
    block = bytes(4) + exif(1).removeprefix(b"Exif\0\0")
    boxes = ((b"brob", kind + brotli.compress(body)) for kind, body in
             ((b"Exif", block), (b"xml ", XMP)))  # fmt: skip
    found = read(in_container(by_plugin(pixels()), *boxes)).metadata
    assert found.dpi == (240, 240)
    assert found.xmp is not None
    bomb = (b"brob", b"xml " + brotli.compress(bytes(2**25)))
    assert read(in_container(by_plugin(pixels()), bomb)).metadata.xmp is None


def test_a_jpeg_in_jpeg_xl_is_read_as_the_jpeg() -> None:
    data = photo("jpg")
    codes = pillow_jxl.Encoder(mode="RGB", lossless=True, quality=100, use_container=True)(
        data, 28, 20, jpeg_encode=True
    )
    found, wanted = read(bytes(codes)), read(data)
    np.testing.assert_array_equal(found.pixels, wanted.pixels)
    assert found.metadata == wanted.metadata


def test_colours_by_numbers_are_kept_for_png() -> None:
    codes = by_plugin(pixels())
    assert read(codes).metadata.png_colour == ()
    found = read(with_colours(codes, 9, 13)).metadata
    assert (found.png_colour, found.icc_profile) == (((b"cICP", bytes([9, 13, 0, 1])),), None)
    assert read(with_colours(codes, 11, 13)).metadata.png_colour == (
        (b"cICP", bytes([12, 13, 0, 1])),
    )


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_kept_so_or_refused(transfer: int, name: str) -> None:
    found = read(with_colours(by_plugin(pixels()), 9, transfer))
    assert found.metadata.png_colour == ((b"cICP", bytes([9, transfer, 0, 1])),)
    for target in ("jxl", "webp"):
        with pytest.raises(ImageError, match=f"cICP: {name}, high dynamic range"):
            encode_into(found, target, io.BytesIO(), "x")


def test_animations_are_refused() -> None:
    with pytest.raises(ImageError, match="found an animation in JPEG XL: save each of its frames"):
        read(with_fields(by_plugin(pixels()), animated=True))


def test_a_lossy_file_with_a_profile_is_read_as_srgb_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes = by_plugin(pixels("uint8", 4), quality=95)
    assert notes(codes) == ()
    assert read_header(codes).absolute
    lossless = replace(read_header(codes), absolute=False)
    monkeypatch.setattr(jxl_profile, "read_header", lambda _: lossless)
    data = jxl_profile.put_profile(codes, P3)
    assert notes(data) == ("its profile is left out: lossy JPEG XL with one is read as sRGB",)
    found = read(data)
    np.testing.assert_allclose(found.pixels.astype(int), seen_by_imagecodecs(data), atol=1)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(found.metadata.icc_profile or b""))
    red = profile.profile.red_primary
    assert red is not None
    np.testing.assert_allclose(red[1][:2], (0.64, 0.33), atol=0.01)


@pytest.mark.parametrize("profile", [srgb(), P3, P3 + bytes(range(256)) * 400])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_we_write_imagecodecs_and_the_plugin_read(channels: int, profile: bytes) -> None:
    image = pixels("uint8", channels)
    profile = GREY if channels < 3 else profile
    data = written(Raster(pixels=image, metadata=Metadata(icc_profile=profile)))
    np.testing.assert_array_equal(seen_by_imagecodecs(data), image)
    _, _, found, icc, _ = pillow_jxl.Decoder()(data)
    assert found == image.tobytes()
    assert icc == profile
    assert read(data).metadata.icc_profile == profile


def test_metadata_that_we_write_pillow_reads() -> None:
    found = Raster(pixels=pixels(), metadata=Metadata(exif=exif(1), xmp=XMP, dpi=(300, 300)))
    data = written(found)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels())
        assert piexif.load(image.info["exif"])["0th"][piexif.ImageIFD.Artist] == AUTHOR
    assert XMP[40:80] in data


def test_sides_beyond_the_usual_level_are_written() -> None:
    image = np.zeros((1, 2**18 + 4, 1), np.uint8)
    image[0, ::3] = 200
    data = written(Raster(pixels=image))
    assert b"jxll\x0a" in data
    np.testing.assert_array_equal(seen_by_imagecodecs(data), image)
    np.testing.assert_array_equal(read(data).pixels, image)


def test_damage_is_refused_in_one_line() -> None:
    for data in (by_plugin(pixels()), photo("jxl"), by_imagecodecs(pixels("uint16", 1))):
        for share in (0.1, 0.2, 0.6, 0.95):
            with pytest.raises(ImageError, match="the image is damaged") as caught:
                read(data[: int(len(data) * share) + 2])
            assert str(caught.value).isprintable()


def test_parts_of_a_codestream_are_joined() -> None:
    codes = codes_of(photo("jxl"))
    parts = ((0, codes[:3]), (1, codes[3:90]), (2**31 + 2, codes[90:]))
    boxes = [(b"jxlp", place.to_bytes(4, "big") + part) for place, part in parts]
    data = in_container(b"", *boxes).removesuffix(b"\0\0\0\x08jxlc")
    np.testing.assert_array_equal(read(data).pixels, read(codes).pixels)


def test_where_the_package_is_missing_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.jxl").write_bytes(data := by_plugin(pixels()))
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    words = "JPEG XL images need a package that is not installed: pip install 'tinysr[jxl]'"
    for attempt in (
        lambda: decode(data, "a.jxl", max_megapixels=1),
        lambda: find_format("jxl"),
        lambda: check_writable(tmp_path / "b.jxl"),
        lambda: plan_work([str(tmp_path)], str(tmp_path / "out"), file_format="JXL"),
    ):
        with pytest.raises(ImageError) as caught:
            attempt()
        assert str(caught.value).endswith(words)
