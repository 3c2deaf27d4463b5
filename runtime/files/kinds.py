"""Kinds of files that are read as images, told by their first bytes."""

from __future__ import annotations

__all__ = ["START", "find_kind"]

START = 64
"""Bytes at a file's begin that tell its kind."""

_STARTS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"BM": "bmp",
}


def find_kind(data: bytes) -> str | None:
    """Return a format's name, given a file or its first bytes; none if it is not read here."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    return next((name for start, name in _STARTS.items() if data.startswith(start)), None)
