"""EXIF, XMP, ICC and resolution survive between all formats, upright and with the right size."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable

import numpy as np
import piexif
import pytest
from PIL import Image

from tests.support.pictures import (
    AUTHOR,
    HEIGHT,
    MAKER_NOTE,
    WIDTH,
    exif,
    of_space,
    photo,
    pixels,
    read,
    srgb,
)
from tinysr.errors import ImageError
from tinysr.runtime.files import FORMATS, encode_into
from tinysr.runtime.files.boxes import boxes_of
from tinysr.runtime.metadata.exif import PREFIX
from tinysr.runtime.pillow import pil_from_raster
from tinysr.runtime.raster import Metadata, Raster
from tinysr.runtime.vips import pyvips


def written(raster: Raster, file_format: str) -> bytes:
    with tempfile.TemporaryFile() as file:
        encode_into(raster, file_format, file, "picture")
        file.seek(0)
        return file.read()


def enlarged(raster: Raster) -> Raster:
    large = raster.pixels.repeat(4, axis=0).repeat(4, axis=1)
    return Raster(pixels=large, metadata=raster.metadata)


def exif_seen_by_pillow(data: bytes) -> Image.Exif:
    with Image.open(io.BytesIO(data)) as image:
        return image.getexif()


def xmp_in(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        found = image.info.get("xmp", image.info.get("XML:com.adobe.xmp"))
        if image.format == "JXL":  # of which the plugin opens no XMP
            found = next(box.body for box in boxes_of(data) if box.kind == b"xml ")
    if isinstance(found, str):
        return found.encode()
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_everything_survives_between_formats(source: str, target: str) -> None:
    raster = read(photo(source))
    assert raster.size == (HEIGHT, WIDTH)  # turned
    data = written(enlarged(raster), target)
    tags = exif_seen_by_pillow(data)
    inner, place = tags.get_ifd(0x8769), tags.get_ifd(0x8825)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (4 * HEIGHT, 4 * WIDTH)
        assert image.info["icc_profile"] == srgb()
    assert tags.get(piexif.ImageIFD.Orientation, 1) == 1
    assert tags[piexif.ImageIFD.Make] == "Maker"
    assert tags[piexif.ImageIFD.Artist].encode("latin-1") == expected_author(source)
    assert (inner[piexif.ExifIFD.PixelXDimension], inner[piexif.ExifIFD.PixelYDimension]) == (
        4 * HEIGHT,
        4 * WIDTH,
    )
    assert float(inner[piexif.ExifIFD.ExposureTime]) == pytest.approx(1 / 125)
    assert inner[piexif.ExifIFD.MakerNote] == MAKER_NOTE
    assert [float(part) for part in place[piexif.GPSIFD.GPSLatitude]] == [52, 30, 12.5]
    packet = xmp_in(data)
    assert b'tiff:Orientation="1"' in packet
    assert b'exif:PixelXDimension="80"' in packet
    assert b"<tiff:ImageLength>112<" in packet
    assert not tags.get_ifd(1)  # no thumbnail of what it was


def expected_author(source: str) -> bytes:
    """Pillow, which wrote the EXIF data of some, knows ASCII alone."""
    plain = AUTHOR.decode("latin-1").encode("ascii", "replace")
    return plain if source in {"tiff", "avif"} else AUTHOR


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_resolution_survives(file_format: str) -> None:
    raster = read(photo(file_format))
    assert raster.metadata.dpi == pytest.approx((240, 240), rel=1e-3)
    for target in FORMATS:
        again = read(written(enlarged(raster), target)).metadata.dpi
        assert again == pytest.approx((240, 240), rel=1e-3), target
    plain = Raster(pixels=raster.pixels)
    for target in FORMATS:
        assert read(written(plain, target)).metadata.dpi is None, target


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(file_format: str, orientation: int) -> None:
    found = read(photo(file_format, orientation))
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    upright = Image.fromarray(pixels())
    upright = upright if method is None else upright.transpose(method)
    near = {"jpg": 12, "avif": 4}.get(file_format, 0)
    np.testing.assert_allclose(found.pixels.astype(int), np.asarray(upright, int), atol=near)
    again = read(written(found, "png"))
    np.testing.assert_array_equal(again.pixels, found.pixels)


def test_metadata_is_kept_byte_for_byte() -> None:
    """But for what must change: nothing moves, so that maker notes stay whole."""
    before = exif(1, thumbnail=False)
    data = written(Raster(pixels=pixels(), metadata=Metadata(exif=before)), "jpg")
    opened = pyvips.Image.jpegload_buffer(data)
    assert PREFIX + bytes(opened.get("exif-data")).removeprefix(PREFIX) == before


@pytest.mark.parametrize("file_format", FORMATS)
def test_wide_gamut_is_not_converted(file_format: str) -> None:
    """A profile we know nothing about stays beside values that nobody touched."""
    wide = of_space(srgb(), b"RGB ").replace(b"sRGB", b"WIDE")
    image = Raster(pixels=pixels(), metadata=Metadata(icc_profile=wide))
    again = read(written(image, file_format))
    assert again.metadata.icc_profile == wide
    near = 12 if file_format in ("jpg", "webp", "avif") else 0
    np.testing.assert_allclose(again.pixels.astype(int), pixels().astype(int), atol=near)


@pytest.mark.parametrize("file_format", ["png", "tiff", "jpg", "avif"])
def test_grey_keeps_a_profile_of_grey(file_format: str) -> None:
    grey = of_space(srgb(), b"GRAY")
    image = Raster(pixels=pixels(channels=1), metadata=Metadata(icc_profile=grey))
    assert read(written(image, file_format)).metadata.icc_profile == grey


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "short": lambda data: data[:20],
    "half": lambda data: data[: len(data) // 2],
    "no header": lambda data: b"XX" + data[2:],
    "offsets": lambda data: data.replace(b"\x00\x00\x00\x08", b"\xff\xff\xff\xf0", 1),
    "itself": lambda data: data[:8] + data[:8] * 40,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_metadata_does_not_cost_the_picture(damage: str) -> None:
    block = PREFIX + DAMAGE[damage](exif().removeprefix(PREFIX))
    file = io.BytesIO()
    Image.fromarray(pixels()).save(file, "PNG", exif=block)
    found = read(file.getvalue())
    assert found.size in ((WIDTH, HEIGHT), (HEIGHT, WIDTH))
    for target in FORMATS:
        assert read(written(found, target)).size == found.size


def test_metadata_that_jpeg_can_not_hold_is_refused() -> None:
    metadata = Metadata(exif=exif() + bytes(70_000))
    with pytest.raises(ImageError, match=r"JPEG holds at most .* write png, webp or tiff"):
        written(Raster(pixels=pixels(), metadata=metadata), "jpg")
    assert read(written(Raster(pixels=pixels(), metadata=metadata), "png")).size


def test_pillow_images_come_back_upright_and_sized() -> None:
    found = pil_from_raster(enlarged(read(photo("jpg"))))
    tags = Image.Exif()
    tags.load(found.info["exif"])
    assert tags[piexif.ImageIFD.Orientation] == 1
    assert tags.get_ifd(0x8769)[piexif.ExifIFD.PixelXDimension] == 4 * HEIGHT
