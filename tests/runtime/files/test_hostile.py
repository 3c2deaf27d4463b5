"""Files that lie, explode or are cut short: one line each, before anything large is made."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image

from tests.support.fuzzing import check, damaged, seeds, with_checksums
from tests.support.pictures import by_tifffile, photo, pixels, read
from tinysr.errors import ImageError
from tinysr.runtime import vips
from tinysr.runtime.files import FORMATS
from tinysr.runtime.metadata import directories
from tinysr.runtime.metadata.directories import NumberLayout

KEPT = sorted((Path(__file__).parent / "hostile").glob("*"))
"""Files that once got past us, under what they did."""


OTHERS = ("bmp", "gif", "jp2", "ppm", "qoi", "tga")
PILLOWS = {"jpg": "JPEG", "jp2": "JPEG2000"}
"""Pillow's names of formats, where they are others."""


def refused(data: bytes, words: str, max_megapixels: float = 100.0) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        read(data, max_megapixels)
    assert len(str(caught.value).splitlines()) == 1


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (b"hello, world", "something else"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
    ],
    ids=["empty", "text", "header"],
)
def test_what_is_no_image_is_refused(data: bytes, words: str) -> None:
    refused(data, words)


@pytest.mark.parametrize("kind", ["PCX", "SGI", "DDS"])
def test_formats_that_are_not_offered_are_refused(kind: str) -> None:
    refused(saved(Image.new("RGB", (16, 16)), kind), "expected an image, such as")


@pytest.mark.parametrize("kind", [*FORMATS, *OTHERS])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = saved(noise, PILLOWS.get(kind, kind.upper()))
    refused(data[: int(len(data) * share)], "damaged")


@pytest.mark.parametrize("kind", [*FORMATS, *OTHERS])
def test_bombs_are_refused_by_their_header(kind: str) -> None:
    large = kind in {"png", "jpg", "tiff", "bmp"}  # the others take long to write
    side, most = (20_000, 10) if large else (1200, 1)
    data = saved(Image.new("L" if large else "RGB", (side, side)), PILLOWS.get(kind, kind.upper()))
    refused(data, rf"at most {most} megapixels, found {side}×{side}", max_megapixels=most)


def test_the_limit_can_be_raised() -> None:
    data = saved(Image.new("L", (1200, 1000)), "PNG")
    refused(data, "at most 1 megapixels", max_megapixels=1.0)
    assert read(data, max_megapixels=1.2).size == (1200, 1000)


def png(width: int, height: int) -> bytes:
    """Return a PNG file whose header says one size, and whose pixels are of another."""
    data = bytearray(saved(Image.new("L", (8, 8)), "PNG"))
    data[16:24] = struct.pack(">II", width, height)
    return with_checksums(bytes(data))


@pytest.mark.parametrize(
    ("width", "height"),
    [(0, 8), (8, 0), (2**31 - 1, 1), (2**31, 8), (8, 9), (2**32 - 1, 2**32 - 1)],
)
def test_sizes_that_lie_are_refused(width: int, height: int) -> None:
    refused(png(width, height), "damaged|megapixels")


def test_a_profile_that_explodes_is_left_out() -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    body = b"iCCPicc\0\0" + bomb
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = saved(Image.new("RGB", (8, 8)), "PNG")
    assert read(data[:33] + chunk + data[33:]).metadata.icc_profile is None


def test_values_that_lie_over_each_other_explode_to_nothing() -> None:
    """Two thousand entries that point to the same half megabyte are a gigabyte of EXIF data."""
    blob, at = bytes(500_000), len(tiff := saved(Image.new("RGB", (8, 8)), "TIFF")) + 2
    entries = [struct.pack("<HHII", 40_000 + i, 7, len(blob), at) for i in range(2000)]
    table = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    with pytest.raises(ValueError, match="over each other"):
        directories.read((tiff + b"\0\0" + blob + table), at + len(blob), NumberLayout(order="<"))


def test_damage_without_a_reason_is_still_said() -> None:
    data = bytearray(saved(Image.new("RGB", (8, 8)), "PNG"))
    data[29] ^= 255  # the checksum of the header, for which libpng has no words
    refused(bytes(data), "the image is damaged: .+")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.5, 1.5])
def test_floats_outside_the_range_are_refused(value: float) -> None:
    image, file = pixels("float32"), io.BytesIO()
    image[3, 4, 1] = value
    by_tifffile(image, file)
    refused(file.getvalue(), r"expected float pixels in \[0, 1\]")


@pytest.mark.parametrize("dtype", ["int16", "uint32", "int8", "complex64"])
def test_other_values_are_refused(dtype: str) -> None:
    file = io.BytesIO()
    by_tifffile(np.zeros((8, 8, 1), dtype), file)
    refused(file.getvalue(), "is not supported: save it with 8 or 16 bits")


def frames() -> list[Image.Image]:
    return [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (0, 100, 200)]


@pytest.mark.parametrize(
    ("kind", "what"), [("PNG", "frames"), ("WEBP", "frames"), ("TIFF", "pages")]
)
def test_animations_and_pages_are_refused(kind: str, what: str) -> None:
    first, *rest = frames()
    data = saved(first, kind, save_all=True, append_images=rest)
    refused(data, f"expected one still image, found 3 {what}")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_zeroed_files_end_in_one_line_or_a_picture(name: str, share: float) -> None:
    data = bytearray(photo(name))
    at = int(len(data) * share)
    data[at : at + 64] = bytes(len(data[at : at + 64]))
    check(bytes(data))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_what_fuzzing_found_stays_found(path: Path) -> None:
    check(path.read_bytes())


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(damaged())
def test_damaged_files_end_in_one_line_or_a_picture(data: bytes) -> None:
    check(data)


def test_whole_files_are_read() -> None:
    assert all(check(data) for data in seeds())


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) * 2 // 3],
    "zeroed": lambda data: data[: len(data) // 2] + bytes(100) + data[len(data) // 2 + 100 :],
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_decoders_say_nothing_themselves(name: str, damage: str, tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(DAMAGE[damage](photo(name)))
    code = (
        "import sys, pathlib\n"
        "from tinysr.errors import ImageError\n"
        "from tinysr.runtime.files import decode\n"
        "try: decode(pathlib.Path(sys.argv[1]).read_bytes(), 'picture', max_megapixels=1)\n"
        "except ImageError: pass\n"
    )
    words: list[str | Path] = [sys.executable, "-c", code, tmp_path / "picture"]
    ended = subprocess.run(words, capture_output=True, check=True)  # noqa: S603
    assert (ended.stdout, ended.stderr) == (b"", b"")


def test_nobody_listens_to_warnings() -> None:
    """pyvips would: it printed a traceback over a warning that quoted bytes that are no UTF-8."""
    assert vips.pyvips._log_handler_id is None
