"""JPEG files of which something is missing: pixels, or no more than the end marker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from tinysr.errors import ImageError

__all__ = ["add_end", "check_whole", "end_anyway", "remove_fill"]

_END = b"\xff\xd9"
_SCAN, _TABLES, _PROGRESSIVE = 0xDA, 0xC4, 0xC2
_SEQUENTIAL = {0xC0, 0xC1}
"""Headers of images whose scans have whole blocks, in Huffman codes."""
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of headers with a size and components."""

_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
"""A marker among coded data: stuffed zeros and restarts belong to the data."""

_COEFFICIENTS = 64
_SHORTEST = 4
"""Bytes of a marker and a length."""

_HOLE = bytes(64)
"""Zeros in a row that no picture is coded in, unless a block can end with a zero."""
_END_OF_BLOCK = 0
_LAST_ZEROS = 4
"""Zeros that may be coded data's own last ones."""

_DAMAGE = ("premature end", "bad huffman", "bad arithmetic", "instead of rst", "inconsistent prog")
"""Warnings of libjpeg's that mean missing or wrong pixels. Its others are of bytes too many, and of
headers that say odd things."""


def add_end(data: bytes) -> bytes:
    """Return a file with an end marker, where that alone may be missing.

    A decoder then reads the last scan to its end, or says that data is missing in it.

    Raises:
        ImageError: whole scans of the file are missing.
    """
    if data.endswith(_END):
        return data
    components, seen, progressive = 0, dict[int, set[int]](), False
    for segment in _segments(data):
        if segment.marker in _FRAMES and len(segment.body) > 5:
            components, progressive = segment.body[5], segment.marker == _PROGRESSIVE
        elif segment.marker == _SCAN:
            _note_scan(segment.body, seen, progressive=progressive)
        elif segment.marker == _END[1]:
            return data
    if len(seen) < components or any(len(found) < _COEFFICIENTS for found in seen.values()):
        raise ImageError("the image is damaged: the file is truncated, whole scans are missing")
    return data + _END


def remove_fill(data: bytes) -> bytes:
    """Return a file without zeros behind the coded data of its scans.

    Interrupted downloads and copies leave zeros where data is missing, and some cameras pad with
    them. A decoder takes them for codes and says nothing; without them it says what is missing.

    Raises:
        ImageError: there are such zeros within coded data.
    """
    if _HOLE not in data:
        return data
    zeros, sequential = dict[int, int](), False
    for segment in _segments(data):
        if segment.marker in _FRAMES:
            sequential = segment.marker in _SEQUENTIAL
        elif segment.marker == _TABLES:
            zeros.update(_codes_of_zeros(segment.body))
        elif segment.marker == _SCAN and sequential and segment.body:
            tables = {byte & 15 for byte in segment.body[2 : 2 + 2 * segment.body[0] : 2]}
            if any(zeros.get(table, _END_OF_BLOCK) != _END_OF_BLOCK for table in tables):
                hole = data.find(_HOLE, segment.end, segment.coded_end)
                if hole >= 0:
                    return _remove_hole(data, hole, segment.coded_end)
    return data


def end_anyway(data: bytes) -> bytes:
    """Return a file with an end marker, whatever is missing in it."""
    with suppress(ImageError):
        data = remove_fill(data)
    for segment in _segments(data):
        ends = max(segment.end, segment.start + _SHORTEST)
        if ends > len(data) and segment.marker != _END[1]:  # a decoder gives up on half a table
            data = data[: segment.start]
    return data if data.endswith(_END) else data + _END


def _remove_hole(data: bytes, hole: int, end: int) -> bytes:
    """Return a file without what lies from a hole to the end of a scan, if that is all zeros."""
    if data[hole:end].strip(b"\0"):
        raise ImageError("the image is damaged: a part of the file is filled with zeros")
    return data[: hole + _LAST_ZEROS] + data[end:]


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


def _codes_of_zeros(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield numbers of tables for coefficients, and the symbol whose code is all zeros."""
    at = 0
    while at + 17 < len(body):
        count = sum(body[at + 1 : at + 17])
        if body[at] >> 4 and count:
            yield body[at] & 15, body[at + 17]
        at += 17 + count


@dataclass(frozen=True, kw_only=True, slots=True)
class _Segment:
    """A marker and what belongs to it."""

    marker: int
    start: int
    """Offset of the marker."""
    body: bytes
    end: int
    """Offset behind the body."""
    coded_end: int
    """Offset of the next marker; coded data of a scan lies before it."""


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield a file's segments, up to the end marker or the end."""
    found = _MARKER.search(data, 2)
    while found is not None:
        at = found.end()
        end = at + int.from_bytes(data[at : at + 2], "big")
        following = _MARKER.search(data, end)
        yield _Segment(
            marker=found.group(1)[0],
            start=found.start(),
            body=data[at + 2 : end],
            end=end,
            coded_end=len(data) if following is None else following.start(),
        )
        if found.group(1)[0] == _END[1]:
            return
        found = following
