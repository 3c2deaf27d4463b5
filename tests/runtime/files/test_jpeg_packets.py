"""Long XMP, IPTC and comments of JPEG files, kept where the result's format has a place."""

from __future__ import annotations

import hashlib
import io
import tempfile
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from PIL import Image, IptcImagePlugin

from tests.support.odd_files import chunk, jpeg, png
from tests.support.pictures import XMP, by_tifffile, pixels, read
from tinysr.runtime.files import decode, encode_into
from tinysr.runtime.files.jpeg_packets import iptc_of_jpeg, xmp_of_jpeg
from tinysr.runtime.raster import Metadata, Raster

RGB = pixels()
CAPTION = b"\x1c\x02\x78\x00\x0bA red cup.."
CREDIT = b"\x1c\x02\x6e\x00\x07Someone"
IPTC = CAPTION + CREDIT
NOTES = b"http://ns.adobe.com/xmp/extension/\0"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def with_segments(*segments: bytes) -> bytes:
    data = jpeg(RGB)
    return data[:20] + b"".join(segments) + data[20:]  # behind JFIF's


def resources(iptc: bytes) -> bytes:
    """Return Photoshop's resources: a name, one of odd length, then IPTC."""
    other = b"8BIM\x03\xed\x03abc" + (3).to_bytes(4, "big") + b"xyz\0"
    own = b"8BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + iptc + b"\0" * (len(iptc) % 2)
    return b"Photoshop 3.0\0" + other + own


def packet(inner: str, attributes: str = "") -> bytes:
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description '
        f'rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        f'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" {attributes}>{inner}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


EXTENSION = packet("<dc:description>" + "long " * 30_000 + "</dc:description>")
DIGEST = hashlib.md5(EXTENSION, usedforsecurity=False).hexdigest().upper()
MAIN = segment(
    0xE1,
    b"http://ns.adobe.com/xap/1.0/\0"
    + packet("<dc:creator>Someone</dc:creator>", f'xmpNote:HasExtendedXMP="{DIGEST}"'),
)


def parts(extension: bytes = EXTENSION) -> list[bytes]:
    whole = len(extension).to_bytes(4, "big")
    return [
        segment(
            0xE1,
            NOTES + DIGEST.encode() + whole + at.to_bytes(4, "big") + extension[at : at + 60_000],
        )
        for at in range(0, len(extension), 60_000)
    ]


ORDERS = {
    "before": [*parts(), MAIN],
    "behind": [MAIN, *parts()],
    "around": [parts()[2], MAIN, parts()[1], parts()[0]],
}


def written(raster: Raster, file_format: str) -> bytes:
    with tempfile.TemporaryFile() as file:
        encode_into(raster, file_format, file, "picture")
        file.seek(0)
        return file.read()


def words_in(xmp: bytes | None) -> dict[str, str | None]:
    tree = ElementTree.fromstring(xmp or b"")  # noqa: S314  (our own)
    return {element.tag: element.text for element in tree.iter()}


@pytest.mark.parametrize("order", ORDERS)
def test_long_xmp_is_one_packet_in_every_order(order: str) -> None:
    found = decode(with_segments(*ORDERS[order]), "this", max_megapixels=1)
    assert found.notes == ()
    words = words_in(found.raster.metadata.xmp)
    assert words[DESCRIPTION] == "long " * 30_000
    assert words["{http://purl.org/dc/elements/1.1/}creator"] == "Someone"
    assert b"HasExtended" not in (found.raster.metadata.xmp or b"")


@pytest.mark.parametrize("file_format", ["png", "tiff", "webp"])
def test_long_xmp_is_in_the_result(file_format: str) -> None:
    before = read(with_segments(*ORDERS["behind"]))
    with Image.open(io.BytesIO(written(before, file_format))) as image:
        image.load()
        xmp = image.tag_v2[700] if file_format == "tiff" else image.info["xmp"]  # type: ignore[attr-defined]
    assert xmp == before.metadata.xmp


def test_long_xmp_goes_into_segments_of_a_jpeg() -> None:
    before = read(with_segments(*ORDERS["behind"]))
    data = written(before, "jpg")
    with Image.open(io.BytesIO(data)) as image:
        assert b"HasExtendedXMP" in image.info["xmp"]
        found = [body for marker, body in image.applist if body.startswith(NOTES)]  # type: ignore[attr-defined]
    joined = b"".join(body[len(NOTES) + 40 :] for body in found)
    assert joined == before.metadata.xmp
    digest = hashlib.md5(joined, usedforsecurity=False).hexdigest().upper()
    assert all(body[len(NOTES) :].startswith(digest.encode()) for body in found)
    assert words_in(read(data).metadata.xmp)[DESCRIPTION] == "long " * 30_000


@pytest.mark.parametrize(
    "segments", [[MAIN], [MAIN, *parts()[:2]], [MAIN, *parts(EXTENSION.replace(b"long", b"gone"))]]
)
def test_long_xmp_that_is_not_all_there_is_left_out_and_told(segments: list[bytes]) -> None:
    found = decode(with_segments(*segments), "this", max_megapixels=1)
    assert found.notes == ("its second packet of XMP is left out",)
    assert words_in(found.raster.metadata.xmp).keys() >= {
        "{http://purl.org/dc/elements/1.1/}creator"
    }


@pytest.mark.parametrize("iptc", [IPTC, CAPTION + b"\x1c\x02\x6e\x00\x04Some", CREDIT * 9000])
def test_iptc_is_what_pillow_reads(iptc: bytes) -> None:
    block = resources(iptc)
    step = 60_000
    pieces = [segment(0xED, block[:step])]
    pieces += [
        segment(0xED, block[:14] + block[at : at + step]) for at in range(step, len(block), step)
    ]
    before = with_segments(*pieces)
    assert iptc_of_jpeg(before) == iptc
    for file_format in ("jpg", "tiff"):
        data = written(read(before), file_format)
        if file_format == "jpg" and len(iptc) > step:
            assert iptc_of_jpeg(data) == iptc
            continue
        with Image.open(io.BytesIO(data)) as image:
            found = IptcImagePlugin.getiptcinfo(image)
        assert found is not None
        assert found.keys() == {key for key in ((2, 120), (2, 110)) if bytes((key[1],)) in iptc}
        assert read(data).metadata.iptc == iptc


def test_iptc_of_a_tiff_is_in_its_jpeg() -> None:
    file = io.BytesIO()
    by_tifffile(RGB, file, extratags=[(33723, 7, len(IPTC), IPTC, True)])
    data = written(read(file.getvalue()), "jpg")
    with Image.open(io.BytesIO(data)) as image:
        assert IptcImagePlugin.getiptcinfo(image) == {
            (2, 120): b"A red cup..",
            (2, 110): b"Someone",
        }
    again = written(read(file.getvalue()), "tiff")
    with tifffile.TiffFile(io.BytesIO(again)) as opened:
        assert bytes(opened.pages.first.tags[33723].value) == IPTC


@pytest.mark.parametrize("comment", ["a café".encode(), "a café".encode("latin-1")])
def test_a_comment_is_kept_in_jpeg_and_png(comment: bytes) -> None:
    before = read(with_segments(segment(0xFE, comment)))
    with Image.open(io.BytesIO(written(before, "jpg"))) as image:
        assert image.info["comment"] == comment
    data = written(before, "png")
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["Comment"] == "a café"
    with Image.open(io.BytesIO(written(read(data), "jpg"))) as image:
        assert image.info["comment"] == "a café".encode()


def test_a_pngs_comment_is_in_its_jpeg() -> None:
    data = png(RGB, chunk(b"tEXt", b"Title\0no") + chunk(b"tEXt", b"Comment\0a caf\xe9"))
    with Image.open(io.BytesIO(written(read(data), "jpg"))) as image:
        assert image.info["comment"] == "a café".encode()


@pytest.mark.parametrize("seed", range(40))
def test_damaged_segments_cost_no_picture(seed: int) -> None:
    rng = np.random.default_rng(seed)
    head = bytearray(with_segments(MAIN, *parts(), segment(0xED, resources(IPTC)))[:200_000])
    for at in rng.integers(20, len(head), 30):
        head[at] = rng.integers(256)
    assert len(xmp_of_jpeg(bytes(head)) or b"") < 2**24
    iptc_of_jpeg(bytes(head))


def test_long_xmp_without_extension_is_written_for_jpeg() -> None:
    xmp = XMP.replace(b"<tiff:ImageLength>20", b"<!--" + b"x" * 70_000 + b"--><tiff:ImageLength>20")
    data = written(Raster(pixels=RGB, metadata=Metadata(xmp=xmp)), "jpg")
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (28, 20)
    assert b"x" * 70_000 in (read(data).metadata.xmp or b"")
