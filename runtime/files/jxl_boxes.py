"""Containers of JPEG XL: boxes with a codestream, whole or in parts. Source: ISO/IEC 18181-2."""

from __future__ import annotations

from collections.abc import Iterable

from .boxes import Box

__all__ = ["codes_of"]

_WHOLE, _PART = b"jxlc", b"jxlp"
_PLACE = 4
"""Bytes before a part of a codestream that say where it belongs."""


def codes_of(boxes: Iterable[Box], most: int | None = None) -> bytes:
    """Return the codestream in a container, or of each of its parts at most so many bytes."""
    skips = {_WHOLE: 0, _PART: _PLACE}
    starts = ((box.start + skips[box.kind], box) for box in boxes if box.kind in skips)
    ends = ((at, box.end if most is None else min(box.end, at + most), box) for at, box in starts)
    return b"".join(box.data[at:end] for at, end, box in ends)
