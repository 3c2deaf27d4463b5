"""Image files as no library writes them on request: by hand, tag by tag and chunk by chunk."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from PIL import Image

__all__ = [
    "chunk",
    "gapped",
    "jpeg",
    "packed_bits",
    "png",
    "subsampled",
    "tiff",
    "tiff_pages",
    "untold",
]

_SHORT, _LONG, _RATIONAL, _UNDEFINED = 3, 4, 5, 7
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_OFFSETS, _SAMPLES, _ROWS, _LENGTHS = 273, 277, 278, 279
_NUMBERS = {_SHORT: "H", _LONG: "I"}

Tags = Mapping[int, Any]
"""Numbers, pairs of numbers or bytes under their tags."""


def tiff(pixels: NDArray[Any], photometric: int, tags: Tags | None = None) -> bytes:
    """Return ``[H, W, C]`` as a TIFF file of one strip, with whatever its tags say of it."""
    height, width, channels = pixels.shape
    own = {_BITS: [8 * pixels.itemsize] * channels, _SAMPLES: channels}
    if pixels.dtype.kind == "f":
        own[339] = [3] * channels
    size = {_WIDTH: width, _HEIGHT: height, _ROWS: height}
    return tiff_pages(
        [(pixels.tobytes(), {**size, **own, _PHOTOMETRIC: photometric, **(tags or {})})]
    )


def packed_bits(bits: int, channels: int = 1) -> bytes:
    """Return a TIFF file of 8×8 pixels whose values have so many bits, one behind the other."""
    size = {_WIDTH: 8, _HEIGHT: 8, _ROWS: 8, _SAMPLES: channels}
    colours = {_BITS: [bits] * channels, _PHOTOMETRIC: 1 if channels == 1 else 2}
    return tiff_pages([(bytes(8 * bits * channels), {**size, **colours})])


def subsampled(ycbcr: NDArray[Any], across: int, down: int) -> bytes:
    """Return YCbCr ``[H, W, 3]`` as a TIFF file with one colour for ``across × down`` pixels."""
    height, width, _ = ycbcr.shape
    units = bytearray()
    for top in range(0, height, down):
        for left in range(0, width, across):
            unit = ycbcr[top : top + down, left : left + across]
            units += unit[..., 0].tobytes() + bytes(int(unit[..., i].mean()) for i in (1, 2))
    size = {_WIDTH: width, _HEIGHT: height, _ROWS: height, _SAMPLES: 3, _BITS: [8] * 3}
    return tiff_pages([(bytes(units), {**size, _PHOTOMETRIC: 6, 530: [across, down]})])


def tiff_pages(pages: Sequence[tuple[bytes, Tags]], inner: Tags | None = None) -> bytes:
    """Return pages, each of one strip, as a TIFF file.

    Args:
        pages: bytes of the strip, and tags.
        inner: tags of a directory at offset 8, which a page may point to.
    """
    result = bytearray(b"II*\0" + bytes(4))
    if inner is not None:
        result += _directory(inner, len(result))
    pointer = 4
    for strip, tags in pages:
        at = len(result)
        result += strip + b"\0" * (len(strip) % 2)
        # A tag of None is left out.
        said = {_COMPRESSION: 1, _OFFSETS: at, _LENGTHS: len(strip), **tags}
        struct.pack_into("<I", result, pointer, len(result))
        result += _directory({k: v for k, v in sorted(said.items()) if v is not None}, len(result))
        pointer = _end_of(result, struct.unpack_from("<I", result, pointer)[0])
    return bytes(result)


def _end_of(block: bytes | bytearray, at: int) -> int:
    """Return where a directory points to the next."""
    return at + 2 + 12 * int(struct.unpack_from("<H", block, at)[0])


def _directory(tags: Tags, at: int) -> bytes:
    table, tail = struct.pack("<H", len(tags)), b""
    behind = at + 2 + 12 * len(tags) + 4
    for tag, value in tags.items():
        kind, count, data = _packed(value)
        table += struct.pack("<HHI", tag, kind, count)
        if len(data) > 4:
            table += struct.pack("<I", behind + len(tail))
            tail += data + b"\0" * (len(data) % 2)
        else:
            table += data.ljust(4, b"\0")
    return table + bytes(4) + tail


def _packed(value: Any) -> tuple[int, int, bytes]:
    if isinstance(value, bytes):
        return _UNDEFINED, len(value), value
    numbers = value if isinstance(value, list) else [value]
    if isinstance(numbers[0], tuple):
        return _RATIONAL, len(numbers), b"".join(struct.pack("<II", *pair) for pair in numbers)
    kind = _SHORT if max(numbers) < 2**16 else _LONG
    return kind, len(numbers), struct.pack(f"<{len(numbers)}{_NUMBERS[kind]}", *numbers)


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    pixels: NDArray[Any], chunks: bytes = b"", *, end: bytes | None = None, halves: int = 2
) -> bytes:
    """Return ``[H, W, 1, 3 or 4]`` in 8 or 16 bits as a PNG file with exactly these chunks.

    Args:
        pixels: the image.
        chunks: between the header and the two chunks of pixels.
        end: what stands in place of the last chunk.
        halves: how many of the chunks of pixels there are.
    """
    height, width, channels = pixels.shape
    bits, colour = 8 * pixels.itemsize, {1: 0, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(f">u{pixels.itemsize}").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    packed = zlib.compress(rows)
    half = len(packed) // 2
    body = b"".join([chunk(b"IDAT", packed[:half]), chunk(b"IDAT", packed[half:])][:halves])
    last = chunk(b"IEND", b"") if end is None else end
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + body + last


def jpeg(pixels: NDArray[Any], **options: Any) -> bytes:
    """Return ``[H, W, 3]`` in 8 bits as a JPEG file of quality 95, by Pillow."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def untold(data: bytes) -> bytes:
    """Return a JPEG file whose scan does not say its last coefficient, as some cameras write it."""
    result = bytearray(data)
    scan = data.find(b"\xff\xda")
    result[scan + 5 + 2 * data[scan + 4] + 1] = 0
    return bytes(result)


def gapped(data: bytes) -> bytes:
    """Return a JPEG file that ends where its scan would begin."""
    return data[: data.find(b"\xff\xda")]
