"""Chunks of PNG files, read and written: all that they hold beside pixels."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator

from ..metadata.exif import PREFIX
from ..raster import Metadata
from .jpeg_packets import resource_of_iptc

__all__ = [
    "PIXELS",
    "XMP_KEYWORD",
    "chunks_of",
    "colour_chunks",
    "frames_of",
    "is_cut",
    "join_chunks",
    "metadata_chunks",
    "raw_chunks_of",
    "resolution_of_png",
    "whole_chunks_of",
]

PIXELS = b"IDAT"
_END = b"IEND"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_START = len(_SIGNATURE)
_EMPTY, _CUT = 12, 9
"""Bytes of a whole chunk without a body, and of one that is cut and has a byte of it."""

_COLOURS = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
"""Chunks that say which colours the values mean, and the length of each."""

_INCHES_PER_METRE = 1 / 0.0254
_METRE = 1
XMP_KEYWORD = b"XML:com.adobe.xmp"
_XMP_START = bytes(5)
"""Bytes between the keyword and the packet: not compressed, by no method; in no language, and no
translated keyword."""


def is_cut(data: bytes) -> bool:
    """Tell whether a file lacks its last chunk, as half a download does."""
    return _END not in data


def frames_of(data: bytes) -> int:
    """Return how many frames a file has; animations say it in a chunk acTL."""
    body = _find_chunk(data, b"acTL", 8)
    return struct.unpack(">I", body[:4])[0] if body else 1


def resolution_of_png(data: bytes) -> tuple[float, float] | None:
    """Return the dots per inch in a file's chunk pHYs, or none."""
    body = _find_chunk(data, b"pHYs", 9)
    if body is None or body[8] != _METRE:
        return None
    across, down = struct.unpack(">II", body[:8])
    return across / _INCHES_PER_METRE, down / _INCHES_PER_METRE


def colour_chunks(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return names and contents of the chunks that say a file's colours, iCCP apart."""
    return tuple(
        (kind, body)
        for kind, length in _COLOURS.items()
        if (body := _find_chunk(data, kind, length)) is not None
    )


def metadata_chunks(metadata: Metadata) -> bytes:
    """Return metadata as the chunks that stand behind IHDR; packets lie in them as they are."""
    chunks = [*metadata.png_colour]
    if metadata.icc_profile is not None:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc_profile)))
    if metadata.dpi is not None:
        dots = (min(round(value * _INCHES_PER_METRE), 2**31 - 1) for value in metadata.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", *dots, _METRE)))
    if metadata.exif is not None:
        chunks.append((b"eXIf", metadata.exif.removeprefix(PREFIX)))
    if metadata.xmp is not None:
        chunks.append((b"iTXt", XMP_KEYWORD + _XMP_START + metadata.xmp))
    chunks += metadata.png_text
    if metadata.comment is not None:
        chunks.append(_comment_chunk(metadata.comment))
    if metadata.iptc is not None:
        chunks.append(_iptc_chunk(metadata.iptc))
    return b"".join(_chunk(kind, body) for kind, body in chunks)


def _comment_chunk(comment: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG file's comment as a chunk: in UTF-8 if it is that, else in Latin-1."""
    words = comment.replace(b"\0", b"")
    try:
        words.decode("utf-8")
    except UnicodeDecodeError:
        return b"tEXt", b"Comment\0" + words
    return b"iTXt", b"Comment" + _XMP_START + words


def _iptc_chunk(iptc: bytes) -> tuple[bytes, bytes]:
    """Return IPTC data as ImageMagick writes it: lines of hexadecimal digits."""
    block = resource_of_iptc(iptc)
    digits = block.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = b"\niptc\n%8d\n%s\n" % (len(block), lines)
    return b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text)


def join_chunks(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a file of these chunks."""
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


def chunks_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kinds and bodies of a file's chunks whose checksum holds; those of pixels are empty."""
    for at, end in _places(data, _EMPTY):
        kind = data[at : at + 4]
        if kind == PIXELS:
            yield kind, b""
        elif _holds(data, at, end):
            yield kind, data[at + 4 : end]


def whole_chunks_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kinds and bodies of a file's chunks, pixels included.

    Raises:
        ValueError: one is cut, or its checksum does not hold.
    """
    for at, end in _places(data, _EMPTY):
        if not _holds(data, at, end):
            raise ValueError(f"a damaged chunk at {at - 4}")
        yield data[at : at + 4], data[at + 4 : end]


def raw_chunks_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kinds and bodies of a file's chunks, damaged or not; the last may be cut."""
    for at, end in _places(data, _CUT):
        yield data[at : at + 4], data[at + 4 : end]


def _places(data: bytes, least: int) -> Iterator[tuple[int, int]]:
    """Yield where each chunk's kind begins and its body ends, while ``least`` bytes are left."""
    at = _START
    while at + least <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        yield at + 4, end
        at = end + 4


def _holds(data: bytes, at: int, end: int) -> bool:
    """Tell whether the checksum of a chunk at such a place holds."""
    return zlib.crc32(data[at:end]).to_bytes(4, "big") == data[end : end + 4]


def _find_chunk(data: bytes, kind: bytes, length: int) -> bytes | None:
    """Return the body of the first chunk of a kind that stands before the pixels.

    Only if it has the length of its kind.
    """
    head = itertools.takewhile(lambda chunk: chunk[0] != PIXELS, chunks_of(data))
    body = next((body for found, body in head if found == kind), None)
    return body if body is not None and len(body) == length else None


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return len(body).to_bytes(4, "big") + kind + body + checksum.to_bytes(4, "big")
