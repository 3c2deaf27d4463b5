"""Damaged files made complete: what there is of a picture, with zeros for what is missing."""

from __future__ import annotations

import struct
import zlib

from .png import PIXELS, join_chunks, raw_chunks_of
from .tiff_pages import COMPRESSION, Page

__all__ = ["complete_png", "complete_tiff", "complete_webp"]

_PIECE = 256
"""Bytes that are inflated at a time: what comes of a piece with an error in it is lost."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Values of a pixel, for each type of colour in PNG."""

_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
           (0, 1, 1, 2))  # fmt: skip
"""First column and row of each pass of an interlaced PNG, and the steps to the next."""

_UNCOMPRESSED = 1
_PLACES = ((273, 279), (324, 325))
"""Offsets and lengths of strips, and of tiles."""

_WEBP_START = 12
"""Bytes before the first chunk: RIFF, the length of what follows, and WEBP."""


def complete_png(data: bytes) -> bytes:
    """Return a file with all rows of its picture, as far as it has them, and right checksums.

    Args:
        data: a file whose header was checked: so many pixels are made.
    """
    header, stream, others = b"", zlib.decompressobj(), []
    packed = bytearray()
    for kind, body in raw_chunks_of(data):
        if kind == b"IHDR" and not header:
            header = body
        elif kind == PIXELS:
            packed += body
        elif kind != b"IEND":
            others.append((kind, body))
    size = _bytes_of_rows(header)
    rows = bytearray()
    try:
        for at in range(0, len(packed), _PIECE):
            rows += stream.decompress(packed[at : at + _PIECE])
            if len(rows) >= size:
                break
    except zlib.error:
        pass
    whole = zlib.compress(bytes(rows[:size]).ljust(size, b"\0"), 1)
    return join_chunks([(b"IHDR", header), *others, (PIXELS, whole), (b"IEND", b"")])


def complete_tiff(page: Page, data: bytes, most: int) -> bytes:
    """Return a file whose picture, if it is not compressed, has all bytes.

    Args:
        page: of the picture.
        data: the file.
        most: bytes that are added at most.
    """
    if page.number(COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED:
        return data
    ends = [
        offset + length
        for offsets, lengths in _PLACES
        for offset, length in zip(page.numbers(offsets), page.numbers(lengths), strict=False)
    ]
    return data.ljust(min(max(ends, default=0), len(data) + most), b"\0")


def complete_webp(data: bytes) -> bytes:
    """Return a file without the chunk that it ends in, with its length put right."""
    at = _WEBP_START
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > len(data):
            break
        at += 8 + length + length % 2
    whole = data[:at].ljust(at, b"\0")  # the last chunk may lack its padding alone
    return whole[:4] + (len(whole) - 8).to_bytes(4, "little") + whole[8:]


def _bytes_of_rows(header: bytes) -> int:
    """Return the length of all rows, each with the number of its filter, by a chunk IHDR."""
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits *= _CHANNELS[colour]
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    size = 0
    for left, top, right, down in passes:
        across = (width - left + right - 1) // right
        rows = (height - top + down - 1) // down
        size += rows * (1 + (across * bits + 7) // 8) if across else 0
    return size
