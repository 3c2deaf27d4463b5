"""EXIF data, XMP and words of PNG files: found wherever they stand, and bounded."""

from __future__ import annotations

import io
import tempfile
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, IptcImagePlugin
from PIL.PngImagePlugin import PngImageFile

from tests.support.odd_files import chunk, png
from tests.support.pictures import XMP, exif, pixels, read
from tinysr.runtime.files import describe_dropped, encode_into
from tinysr.runtime.files.png_packets import packets_of_png
from tinysr.runtime.metadata.exif import PREFIX
from tinysr.runtime.raster import Metadata, Raster

RGB = pixels()
BLOCK = exif(6, thumbnail=False).removeprefix(PREFIX)
TURNED = np.asarray(Image.fromarray(RGB).transpose(Image.Transpose.ROTATE_270))


def digits(block: bytes) -> bytes:
    """Return EXIF data as ImageMagick wrote it before PNG had a place for it."""
    return b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n"


def behind(packet: bytes) -> bytes:
    """Return a PNG file with a packet behind its pixels."""
    return png(RGB, end=packet + chunk(b"IEND", b""))


EXIF = {
    "eXIf": chunk(b"eXIf", BLOCK),
    "profile": chunk(b"tEXt", b"Raw profile type exif\0" + digits(PREFIX + BLOCK)),
    "profile, compressed": chunk(
        b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(digits(PREFIX + BLOCK))
    ),
}
KEYWORD = b"XML:com.adobe.xmp\0"
XMPS = {
    "plain": chunk(b"iTXt", KEYWORD + b"\0\0\0\0" + XMP),
    "in a language": chunk(b"iTXt", KEYWORD + b"\0\0de\0Paket\0" + XMP),
    "compressed": chunk(b"iTXt", KEYWORD + b"\1\0\0\0" + zlib.compress(XMP)),
}
TEXTS = {
    "parameters": "a red cup\nSteps: 20, Seed: 1",
    "prompt": '{"3": {"class_type": "KSampler"}}',
    "Copyright": "Someone",
}


@pytest.mark.parametrize("name", EXIF)
@pytest.mark.parametrize("place", [lambda packet: png(RGB, packet), behind])
def test_exif_is_found_and_turns_the_picture(name: str, place: Callable[[bytes], bytes]) -> None:
    found = read(place(EXIF[name]))
    np.testing.assert_array_equal(found.pixels, TURNED)
    assert found.metadata.exif is not None
    assert b"Maker" in found.metadata.exif


@pytest.mark.parametrize("name", XMPS)
@pytest.mark.parametrize("place", [lambda packet: png(RGB, packet), behind])
def test_xmp_is_found_and_turns_the_picture(name: str, place: Callable[[bytes], bytes]) -> None:
    found = read(place(XMPS[name]))
    np.testing.assert_array_equal(found.pixels, TURNED)
    assert found.metadata.xmp == XMP.replace(b'Orientation="6"', b'Orientation="1"')


@pytest.mark.parametrize("place", [lambda packet: png(RGB, packet), behind])
def test_words_come_along_as_pillow_reads_them(place: Callable[[bytes], bytes]) -> None:
    plain = [chunk(b"tEXt", f"{key}\0{words}".encode()) for key, words in TEXTS.items()]
    packed = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"compressed"))
    with tempfile.TemporaryFile() as file:
        encode_into(read(place(b"".join([*plain, packed]))), "png", file, "picture")
        file.seek(0)
        with Image.open(io.BytesIO(file.read())) as image:
            image.load()
            assert isinstance(image, PngImageFile)
            assert image.text == TEXTS | {"Comment": "compressed"}


CAPTION = b"\x1c\x02\x78\x00\x0bA red cup.."
RESOURCE = b"8BIM\x04\x04\0\0\0\0\0\x10" + CAPTION
PROFILES = {
    "iptc": (b"iptc", RESOURCE),
    "by itself": (b"iptc", CAPTION),
    "named": (b"8bim", b"Photoshop 3.0\0" + RESOURCE),
}


@pytest.mark.parametrize("name", PROFILES)
def test_iptc_of_imagemagick_is_read_and_pillow_finds_it_in_a_jpeg(name: str) -> None:
    keyword, block = PROFILES[name]
    text = zlib.compress(digits(block).replace(b"exif", keyword))
    found = read(png(RGB, chunk(b"zTXt", b"Raw profile type " + keyword + b"\0\0" + text)))
    assert found.metadata.iptc == CAPTION
    with Image.open(io.BytesIO(written(found, "jpg"))) as image:
        info = IptcImagePlugin.getiptcinfo(image)
    assert info == {(2, 120): b"A red cup.."}
    again = written(found, "png")
    assert read(again).metadata.iptc == CAPTION
    with Image.open(io.BytesIO(again)) as image:
        image.load()
        assert isinstance(image, PngImageFile)
        lines = str(image.text["Raw profile type iptc"]).split(maxsplit=2)
    assert (lines[0], int(lines[1]), bytes.fromhex(lines[2])) == ("iptc", len(RESOURCE), RESOURCE)


def written(raster: Raster, file_format: str) -> bytes:
    with tempfile.TemporaryFile() as file:
        encode_into(raster, file_format, file, "picture")
        file.seek(0)
        return file.read()


WORDS = chunk(b"tEXt", b"parameters\0a red cup")
REMARK = chunk(b"tEXt", b"Comment\0by hand")


@pytest.mark.parametrize(
    ("chunks", "file_format", "notes"),
    [
        (WORDS, "png", ()),
        (WORDS, "jpg", ("its PNG text is left out: jpg has no place for it, png has",)),
        (REMARK, "jpg", ()),
        (REMARK, "avif", ("its PNG text is left out: avif has no place for it, png has",)),
    ],
)
def test_what_has_no_place_is_said(chunks: bytes, file_format: str, notes: tuple[str]) -> None:
    assert describe_dropped(file_format, read(png(RGB, chunks)).metadata) == notes


@pytest.mark.parametrize("file_format", ["webp", "avif", "jxl"])
def test_iptc_and_comments_without_a_place_are_said(file_format: str) -> None:
    metadata = Metadata(iptc=CAPTION, comment=b"by hand")
    assert describe_dropped(file_format, metadata) == (
        f"its IPTC data is left out: {file_format} has no place for it, png and jpg and tiff have",
        f"its comment is left out: {file_format} has no place for it, png and jpg have",
    )
    assert describe_dropped("png", metadata) == describe_dropped("jpg", metadata) == ()


def test_what_is_damaged_is_left_out_and_costs_no_picture() -> None:
    words = bytearray(chunk(b"tEXt", b"Comment\0hello"))
    words[-1] ^= 255
    late = chunk(b"zTXt", b"Raw profile type exif\0\0no deflate") + chunk(b"tEXt", b"no keyword")
    found = read(png(RGB, bytes(words), end=late + chunk(b"IEND", b"")))
    np.testing.assert_array_equal(found.pixels, RGB)
    assert found.metadata.png_text == ()
    assert found.metadata.exif is None


def test_what_explodes_is_left_out_once() -> None:
    bomb = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(2**25), 9))
    large = chunk(b"tEXt", b"Comment\0" + bytes(2**23))
    found = packets_of_png(png(RGB, bomb * 200 + large * 4))
    assert found.exif is None
    assert len(found.texts) == 1
