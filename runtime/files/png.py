"""What PNG files hold beside pixels: their chunks before the first of pixels."""

from __future__ import annotations

import struct
import zlib

from ..metadata.exif import PREFIX
from ..raster import Metadata

__all__ = ["END", "PIXELS", "frames_of", "metadata_chunks", "resolution_of_png"]

PIXELS, END = b"IDAT", b"IEND"
_INCHES_PER_METRE = 1 / 0.0254
_METRE = 1
_XMP_START = b"XML:com.adobe.xmp\0\0\0\0\0"
"""Keyword; not compressed, by no method; in no language, and no translated keyword."""


def frames_of(data: bytes) -> int:
    """Return how many frames a file has; animations say it in a chunk acTL."""
    body = _found(data, b"acTL", 8)
    return struct.unpack(">I", body[:4])[0] if body else 1


def resolution_of_png(data: bytes) -> tuple[float, float] | None:
    """Return the dots per inch in a file's chunk pHYs, or none."""
    body = _found(data, b"pHYs", 9)
    if body is None or body[8] != _METRE:
        return None
    across, down = struct.unpack(">II", body[:8])
    return across / _INCHES_PER_METRE, down / _INCHES_PER_METRE


def metadata_chunks(metadata: Metadata) -> bytes:
    """Return metadata as the chunks that stand behind IHDR; packets lie in them as they are."""
    chunks = []
    if metadata.icc_profile is not None:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc_profile)))
    if metadata.dpi is not None:
        dots = (min(round(value * _INCHES_PER_METRE), 2**31 - 1) for value in metadata.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", *dots, _METRE)))
    if metadata.exif is not None:
        chunks.append((b"eXIf", metadata.exif.removeprefix(PREFIX)))
    if metadata.xmp is not None:
        chunks.append((b"iTXt", _XMP_START + metadata.xmp))
    return b"".join(_chunk(kind, body) for kind, body in chunks)


def _found(data: bytes, kind: bytes, length: int) -> bytes | None:
    """Return the body of a chunk of a fixed length."""
    at = data.find(length.to_bytes(4, "big") + kind, 0, data.find(PIXELS))
    return None if at < 0 else data[at + 8 : at + 8 + length]


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return len(body).to_bytes(4, "big") + kind + body + checksum.to_bytes(4, "big")
