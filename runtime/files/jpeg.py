"""JPEG files that end too soon: whether anything but their end marker is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tinysr.errors import ImageError

__all__ = ["check_whole", "ended"]

_END = b"\xff\xd9"
_SCAN, _PROGRESSIVE = 0xDA, 0xC2
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of headers with a size and components."""

_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
"""A marker among coded data: stuffed zeros and restarts belong to the data."""

_COEFFICIENTS = 64

_DAMAGE = ("premature end", "bad huffman", "bad arithmetic", "instead of rst", "inconsistent prog")
"""Warnings of libjpeg's that mean missing or wrong pixels. Its others are of bytes too many, and of
headers that say odd things."""


def ended(data: bytes) -> bytes:
    """Return a file with an end marker, where that alone may be missing.

    A decoder then reads the last scan to its end, or says that data is missing in it.

    Raises:
        ImageError: whole scans of the file are missing.
    """
    if data.endswith(_END):
        return data
    components, seen, progressive = 0, dict[int, set[int]](), False
    for marker, body in _segments(data):
        if marker in _FRAMES and len(body) > 5:
            components, progressive = body[5], marker == _PROGRESSIVE
        elif marker == _SCAN:
            _note_scan(body, seen, progressive=progressive)
        elif marker == _END[1]:
            return data
    if len(seen) < components or any(len(found) < _COEFFICIENTS for found in seen.values()):
        raise ImageError("the image is damaged: the file is truncated, whole scans are missing")
    return data + _END


def check_whole(warnings: str) -> None:
    """Refuse a file of which libjpeg said, while it decoded it, that pixels are missing or wrong.

    Raises:
        ImageError: it said so.
    """
    said = warnings.lower()
    if any(words in said for words in _DAMAGE):
        reason = warnings.strip().splitlines()[0].split(": ")[-1]
        raise ImageError(f"the image is damaged: {reason}")


def _note_scan(body: bytes, seen: dict[int, set[int]], *, progressive: bool) -> None:
    """Note which coefficients of which components a scan completes."""
    count = body[0] if body else 0
    if len(body) < 4 + 2 * count:
        return
    first, last, low = body[1 + 2 * count], body[2 + 2 * count], body[3 + 2 * count] & 15
    whole = range(first, last + 1) if progressive else range(_COEFFICIENTS)
    for component in body[1 : 1 + 2 * count : 2]:
        found = seen.setdefault(component, set())
        if not low or not progressive:
            found.update(whole)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield markers and what belongs to each, up to the end marker or the end."""
    at = 2
    while (found := _MARKER.search(data, at)) is not None:
        marker, at = found.group(1)[0], found.end()
        length = int.from_bytes(data[at : at + 2], "big")
        yield marker, data[at + 2 : at + length]
        if marker == _END[1]:
            return
        at += length
