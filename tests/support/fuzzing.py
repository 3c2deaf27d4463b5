"""Damaged image files without end, for ``make fuzz``; `runtime/files/test_hostile.py` runs a few.

    python -m tests.support.fuzzing --minutes 10

A whole file of each kind is changed in a few places: numbers become extreme, parts are cut out,
repeated, or exchanged with those of other files. Whatever comes out must be read and written
again, or refused in one line; soon, in little memory, and without a word on stderr. The file that
is tried lies in ``build/fuzz`` meanwhile, so that it is there should the process die.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import resource
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import brotli
import numpy as np
import pillow_heif
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support import jxl_files
from tests.support.odd_cases import TAKEN
from tests.support.pictures import XMP, by_tifffile, exif, photo, pixels
from tinysr.errors import ImageError
from tinysr.runtime.files import FORMATS, decode, encode_into
from tinysr.runtime.raster import check_pixels

MOST_MEGAPIXELS = 1.0
MOST_SECONDS = 5.0
MOST_GROWTH_MB = 1500
MOST_LETTERS = 400
TRIED = Path("build/fuzz/tried")
EXTREMES = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def seeds() -> list[bytes]:
    """Return one whole file of each kind that is read."""
    found = [photo(name) for name in FORMATS]
    image = Image.fromarray(pixels(height=9, width=11))
    variants: list[tuple[Image.Image, str, dict[str, object]]] = [
        (image.quantize(8), "PNG", {"transparency": 1}),
        (image.convert("1"), "PNG", {}),
        (Image.fromarray(pixels("uint16", 1)[..., 0]), "PNG", {}),
        (image.convert("CMYK"), "JPEG", {}),
        (image.convert("L"), "JPEG", {"progressive": True, "exif": exif()}),
        (image.convert("RGBA"), "WEBP", {}),
        (image, "BMP", {}),
        (image.quantize(8), "BMP", {}),
        (image, "TIFF", {"compression": "tiff_lzw"}),
        (image, "TIFF", {"compression": "jpeg"}),
        (image.convert("1"), "TIFF", {"compression": "group4"}),
        (image.convert("CMYK"), "TIFF", {}),
        (image, "AVIF", {"exif": exif()}),
        (image.convert("RGBA"), "AVIF", {}),
        (image, "GIF", {}),
        (image, "JPEG2000", {}),
        (image.convert("RGBA"), "JPEG2000", {}),
        (image, "PPM", {}),
        (image.convert("1"), "PPM", {}),
        (image.convert("RGBA"), "QOI", {}),
        (image.convert("RGBA"), "TGA", {"compression": "tga_rle"}),
        (image.quantize(8), "TGA", {}),
        (image.convert("RGBA").resize((32, 32)), "ICO", {}),
        (image.convert("RGBA").resize((32, 32)), "ICO", {"bitmap_format": "bmp"}),
    ]
    for picture, kind, options in variants:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        found.append(file.getvalue())
    found += more_seeds()
    tiles: dict[str, dict[str, Any]] = {"float32": {}, "uint16": {"tile": (16, 16)}}
    for depth, layout in tiles.items():
        file = io.BytesIO()
        by_tifffile(pixels(depth, 4), file, **layout)
        found.append(file.getvalue())
    return [*found, *(case.data for case in TAKEN.values())]


def more_seeds() -> list[bytes]:
    """Return files that Pillow does not write by itself: HEIC and JPEG XL."""
    found = []
    for mode, channels, depth in (("RGB", 3, "uint8"), ("RGBA;16", 4, "uint16"), ("L", 1, "uint8")):
        image = pixels(depth, channels, 64, 64)
        file = io.BytesIO()
        made = pillow_heif.from_bytes(mode=mode, size=(64, 64), data=image.tobytes())
        made.save(file, quality=50, exif=exif(), xmp=XMP)
        found.append(file.getvalue())
    for channels, depth in ((1, "uint16"), (2, "uint8"), (3, "uint8"), (4, "uint8")):
        found.append(jxl_files.by_imagecodecs(pixels(depth, channels), lossless=channels < 3))
    block = brotli.compress(bytes(4) + exif().removeprefix(b"Exif\0\0"))
    packed = jxl_files.in_container(found[-2], (b"brob", b"Exif" + block))
    return [*found, packed, jxl_files.with_fields(jxl_files.by_plugin(pixels()), 7)]


SEEDS = seeds()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a whole file with one to six changes."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        change = draw(st.sampled_from(["bit", "number", "cut", "end", "repeat", "exchange"]))
        if change == "bit":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "number":
            width, order = (
                draw(st.sampled_from([1, 2, 4])),
                draw(st.sampled_from(["big", "little"])),
            )
            value = draw(st.sampled_from(EXTREMES)) % 256**width
            data[at : at + width] = value.to_bytes(width, order)
        elif change == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif change == "end":
            del data[at:]
        elif change == "repeat":
            part = data[at : at + draw(st.integers(1, 64))]
            data[at:at] = part * draw(st.integers(1, 40))
        else:
            other = draw(st.sampled_from(SEEDS))
            start = draw(st.integers(0, len(other) - 1))
            data[at : at + 32] = other[start : start + 32]
    if draw(st.booleans()):
        data = bytearray(with_checksums(bytes(data)))
    return bytes(data)


def with_checksums(data: bytes) -> bytes:
    """Put right the checksums of a PNG file, so that damage gets past them."""
    if not data.startswith(b"\x89PNG"):
        return data
    result, at = bytearray(data), 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(data):
            break
        result[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(result)


def check(data: bytes) -> bool:
    """Read a file and write what it holds in every format; return whether it was read.

    Raises:
        AssertionError: anything but a result or one line.
    """
    start = time.process_time()
    try:
        found = decode(data, "tried", max_megapixels=MOST_MEGAPIXELS).raster
        check_pixels(found.pixels)
        assert found.pixels.shape[0] * found.pixels.shape[1] <= MOST_MEGAPIXELS * 1e6
    except ImageError as error:
        check_line(error)
        return False
    finally:
        assert time.process_time() - start < MOST_SECONDS
    if found.pixels.size < 100_000:
        for name in FORMATS:
            with tempfile.TemporaryFile() as file:
                try:
                    encode_into(found, name, file, "tried")
                except ImageError as error:
                    check_line(error)
                    continue
                file.seek(0)
                again = decode(file.read(), "again", max_megapixels=MOST_MEGAPIXELS).raster
            assert again.size == found.size
            if name == "tiff":
                np.testing.assert_array_equal(again.pixels, found.pixels)
    return True


def check_line(error: ImageError) -> None:
    """Hold an error to one line that can be shown."""
    words = str(error)
    assert words.isprintable()
    assert len(words) < MOST_LETTERS


def main() -> int:
    """Run for some minutes; print how many files were read and how many refused."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    end = time.monotonic() + 60 * parser.parse_args().minutes
    TRIED.parent.mkdir(parents=True, exist_ok=True)
    counts = {True: 0, False: 0}

    @settings(
        max_examples=2000,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged())
    def batch(data: bytes) -> None:
        TRIED.write_bytes(data)
        try:
            counts[check(data)] += 1
        except Exception:
            TRIED.with_name(hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
            raise

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryFile() as words:
        stderr = os.dup(2)
        os.dup2(words.fileno(), 2)
        try:
            while time.monotonic() < end:
                batch()
        finally:
            os.dup2(stderr, 2)
        words.seek(0)
        said = words.read()
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    read, refused = counts[True], counts[False]
    sys.stdout.write(
        f"{read + refused} files tried: {read} read and written again, {refused} refused; "
        f"memory grew by {growth:.0f} MB\n"
    )
    if said or growth > MOST_GROWTH_MB:
        sys.stdout.write(f"expected nothing on stderr, found {said[:500]!r}\n" if said else "")
        return 1
    TRIED.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
