"""Boxes of ISO's containers, as AVIF, HEIC, JPEG 2000 and JPEG XL files have them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Box", "boxes_of", "find_box"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """One box: its kind, and where in the file its contents lie."""

    data: bytes
    """The file."""
    kind: bytes
    start: int
    end: int

    @property
    def body(self) -> bytes:
        """Contents of the box."""
        return self.data[self.start : self.end]

    def inner(self, skip: int = 0) -> Iterator[Box]:
        """Yield the boxes in this one, behind so many bytes."""
        return boxes_of(self.data, self.start + skip, self.end)

    def find(self, kind: bytes, skip: int = 0) -> Box | None:
        """Return the first box of a kind in this one, or none."""
        return find_box(self.inner(skip), kind)


def boxes_of(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes that lie one behind the other; what no longer fits ends them."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if length == 1 and start + 16 <= end:
            (length,) = struct.unpack_from(">Q", data, body)
            body += 8
        stop = end if length == 0 else start + length
        if not body <= stop <= end:
            return
        yield Box(data=data, kind=kind, start=body, end=stop)
        start = stop


def find_box(boxes: Iterator[Box], kind: bytes) -> Box | None:
    """Return the first box of a kind, or none."""
    return next((box for box in boxes if box.kind == kind), None)
