"""JPEG XL files for tests: by other libraries, and with parts that these don't write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pillow_jxl
from numpy.typing import NDArray

from tests.support.pictures import XMP, exif, pixels, srgb
from tinysr.runtime.files.bits import BitReader, BitWriter
from tinysr.runtime.files.boxes import boxes_of
from tinysr.runtime.files.jxl_header import JxlHeader, read_header
from tinysr.runtime.files.jxl_profile import put_profile

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x14ftypjxl \0\0\0\0jxl "
USUAL = b"\xff\x0a"


def by_plugin(image: NDArray[Any], **options: Any) -> bytes:
    """Return a naked codestream of 8 bits, without loss unless a quality is given."""
    lossless = "quality" not in options
    settings = {"lossless": lossless, "use_original_profile": lossless, "effort": 3}
    encoder = pillow_jxl.Encoder(
        mode=MODES[image.shape[2]], **{"quality": 100, **settings, **options}
    )
    return bytes(encoder(image.tobytes(), image.shape[1], image.shape[0], jpeg_encode=False))


def by_imagecodecs(image: NDArray[Any], **options: Any) -> bytes:
    flat = image[..., 0] if image.shape[2] == 1 else image
    return bytes(imagecodecs.jpegxl_encode(flat, **{"lossless": True, **options}))


def seen_by_imagecodecs(data: bytes) -> NDArray[Any]:
    """Return what libjxl shows, as another package has built it, ``[H, W, C]``."""
    found = np.asarray(imagecodecs.jpegxl_decode(data))
    return found if found.ndim == 3 else found[..., None]


def in_container(codes: bytes, *boxes: tuple[bytes, bytes]) -> bytes:
    parts = (*boxes, (b"jxlc", codes))
    return SIGNATURE + b"".join(
        (len(body) + 8).to_bytes(4, "big") + kind + body for kind, body in parts
    )


def codes_of(data: bytes) -> bytes:
    """Return a file's codestream."""
    if data.startswith(USUAL):
        return data
    return b"".join(
        box.body[4:] if box.kind == b"jxlp" else box.body
        for box in boxes_of(data)
        if box.kind in (b"jxlc", b"jxlp")
    )


def rewritten(codes: bytes, write: Callable[[BitWriter, BitReader, JxlHeader], None]) -> bytes:
    """Return a codestream with another header in front of the same frames."""
    header, writer = read_header(codes), BitWriter()
    write(writer, BitReader(codes), header)
    return writer.pack() + codes[(header.end + 7) // 8 :]


def with_fields(codes: bytes, orientation: int = 1, *, animated: bool = False) -> bytes:
    """Return a codestream without usual fields as one that has an orientation, or is animated."""
    size = _bits_of_size(codes)

    def write(writer: BitWriter, reader: BitReader, header: JxlHeader) -> None:
        end = header.colours_at[1]
        assert end, "it has all fields as usual"
        writer.write(reader.read(size), size)
        assert reader.read(2) == 0
        writer.write(0b10, 2)
        writer.write(orientation - 1, 3)
        writer.write(0b100 if animated else 0, 3)
        if animated:
            writer.write(0, 7)  # 100 ticks a second, for ever, without codes of time
        writer.write(reader.read(end - size - 2), end - size - 2)
        writer.write(1, 1)  # as bright as usual
        writer.write(reader.read(header.end - end), header.end - end)

    return rewritten(codes, write)


def with_colours(codes: bytes, primaries: int, transfer: int) -> bytes:
    """Return a codestream of RGB whose colours are those of these numbers."""

    def write(writer: BitWriter, reader: BitReader, header: JxlHeader) -> None:
        begin, end = header.colours_at
        writer.write(reader.read(begin), begin)
        writer.write(0, 2)
        for number in (0, 1, primaries):  # RGB, with a white of D65
            _write_enum(writer, number)
        writer.write(0, 1)
        _write_enum(writer, transfer)
        _write_enum(writer, 0)
        reader.at = end
        writer.write(reader.read(header.end - end), header.end - end)

    return rewritten(codes, write)


def jxl_photo(orientation: int = 6) -> bytes:
    """Return a photo with everything."""
    codes = put_profile(with_fields(by_plugin(pixels()), orientation), srgb())
    block = exif(orientation).removeprefix(b"Exif\0\0")
    return in_container(codes, (b"Exif", bytes(4) + block), (b"xml ", XMP))


def _bits_of_size(codes: bytes) -> int:
    """Return the offset of the bit behind the size, which has no usual ratio and is not small."""
    reader = BitReader(codes, 16)
    small = reader.flag()
    sides = ((1, 9), (1, 13), (1, 18), (1, 30))
    (reader.read(5) if small else reader.choice(*sides))
    if not reader.read(3):
        (reader.read(5) if small else reader.choice(*sides))
    return reader.at


def _write_enum(writer: BitWriter, number: int) -> None:
    if number < 2:
        writer.write(number, 2)
    elif number < 18:
        writer.write(2, 2)
        writer.write(number - 2, 4)
    else:
        writer.write(3, 2)
        writer.write(number - 18, 6)
