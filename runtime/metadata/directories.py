"""TIFF directories, of which TIFF files and EXIF data are made: read with limits, written anew.

Source: TIFF 6.0, section 2; BigTIFF differs in the widths of counts and offsets alone.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = [
    "BYTE",
    "LONG",
    "LONG8",
    "RATIONAL",
    "SHORT",
    "UNDEFINED",
    "Directory",
    "MetadataValue",
    "Node",
    "NumberLayout",
    "ValuePlace",
    "pack",
    "patch",
    "read",
    "read_header",
]

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 2, 3, 4, 5, 7, 16

ByteBlock = bytes | bytearray | mmap.mmap
"""A file or EXIF data."""

_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
_UNITS |= {16: 8, 17: 8, 18: 8}
"""Bytes that are swapped together, of each type."""

_PAIRS = {5, 10}
"""Types whose values have two units: rationals."""

_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MOST_ENTRIES = 4096
"""Far above what any camera or editor writes."""

_MOST_NUMBERS = 2**24
"""Most numbers of one entry; strips of one row each in the tallest images stay far below."""


_SHARED = 2**16
"""Bytes that entries may have in common: some writers let both resolutions point to one number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberLayout:
    """How the numbers of a block lie."""

    order: str
    """"<" or ">"."""
    big: bool = False
    """BigTIFF: counts and offsets have 8 bytes."""

    @property
    def offset(self) -> struct.Struct:
        """Counts of values, and offsets."""
        return struct.Struct(self.order + ("Q" if self.big else "I"))

    @property
    def first_at(self) -> int:
        """Offset of the first directory's offset, in a file's header."""
        return 8 if self.big else 4

    @property
    def count(self) -> struct.Struct:
        """The number of entries."""
        return struct.Struct(self.order + ("Q" if self.big else "H"))


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataValue:
    """A value to be written, or that was read: little-endian."""

    type: int
    data: bytes

    @property
    def count(self) -> int:
        """How many numbers or characters it has."""
        return len(self.data) // _width(self.type)


@dataclass(frozen=True, kw_only=True, slots=True)
class ValuePlace:
    """Where a value lies in a block."""

    layout: NumberLayout
    type: int
    count: int
    at: int
    """Offset of the entry itself."""
    start: int
    """Offset of the value."""

    @property
    def end(self) -> int:
        """Offset behind the value."""
        return self.start + self.count * _width(self.type)

    def raw(self, block: ByteBlock) -> bytes:
        """Return the value as it lies."""
        return bytes(block[self.start : self.end])

    def value(self, block: ByteBlock) -> MetadataValue:
        """Return the value in little-endian order."""
        data, unit = self.raw(block), _UNITS[self.type]
        if self.layout.order == ">" and unit > 1:
            data = np.frombuffer(data, f">u{unit}").astype(f"<u{unit}").tobytes()
        return MetadataValue(type=self.type, data=data)

    def integers(self, block: ByteBlock) -> tuple[int, ...]:
        """Return the numbers; none if they are no unsigned integers or absurdly many."""
        if self.type not in _INTEGERS or self.count > _MOST_NUMBERS:
            return ()
        form = f"{self.layout.order}{self.count}{_INTEGERS[self.type]}"
        return struct.unpack(form, self.raw(block))

    def ratio(self, block: ByteBlock) -> float | None:
        """Return one unsigned rational; none if it is none, or infinite."""
        if self.type != RATIONAL or self.count != 1:
            return None
        above, below = struct.unpack(self.layout.order + "II", self.raw(block))
        return above / below if below else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """The entries of a directory; those whose value leaves the block are left out."""

    entries: Mapping[int, ValuePlace]
    end: int
    """Offset behind the directory, its pointer to the next included."""
    following_at: int
    """Offset of the pointer to the next directory."""
    following: int
    """Offset of the next directory; 0 if there is none."""

    def integer(self, tag: int, block: ByteBlock) -> int | None:
        """Return the one number of an entry, or none."""
        entry = self.entries.get(tag)
        numbers = entry.integers(block) if entry and entry.count == 1 else ()
        return numbers[0] if numbers else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A directory to be written, with those it points to."""

    values: Mapping[int, MetadataValue]
    children: Mapping[int, Node] = field(default_factory=dict)


def read_header(block: ByteBlock) -> tuple[NumberLayout, int]:
    """Return the layout of a block, and the offset of its first directory.

    Raises:
        ValueError: it begins like no TIFF.
    """
    order = {b"II": "<", b"MM": ">"}.get(bytes(block[:2]))
    if order is None or len(block) < 8:
        raise ValueError("no TIFF header")
    (magic,) = struct.unpack_from(order + "H", block, 2)
    if magic == 42:
        return NumberLayout(order=order), struct.unpack_from(order + "I", block, 4)[0]
    if magic == 43 and len(block) >= 16 and struct.unpack_from(order + "HH", block, 4) == (8, 0):
        return NumberLayout(order=order, big=True), struct.unpack_from(order + "Q", block, 8)[0]
    raise ValueError("no TIFF header")


def read(block: ByteBlock, at: int, layout: NumberLayout) -> Directory:
    """Read a directory.

    Of entries that occur twice the first is taken, as libtiff does.

    Raises:
        ValueError: it leaves the block, has absurdly many entries, or its values are more bytes
            than the block has.
    """
    offset, number = layout.offset, layout.count
    size = 4 + 2 * offset.size
    if at < 8 or at + number.size > len(block):
        raise ValueError(f"a directory at {at}, behind the end")
    (count,) = number.unpack_from(block, at)
    first = at + number.size
    following_at = first + count * size
    if count > _MOST_ENTRIES or following_at + offset.size > len(block):
        raise ValueError(f"a directory of {count} entries")
    entries: dict[int, ValuePlace] = {}
    seen = set()
    for place in range(first, following_at, size):
        tag, kind = struct.unpack_from(layout.order + "HH", block, place)
        (length,) = offset.unpack_from(block, place + 4)
        if tag in seen:
            continue
        seen.add(tag)
        if kind not in _UNITS:
            continue
        start = place + 4 + offset.size
        if length * _width(kind) > offset.size:
            (start,) = offset.unpack_from(block, start)
        entry = ValuePlace(layout=layout, type=kind, count=length, at=place, start=start)
        if entry.end <= len(block):
            entries[tag] = entry
    if sum(entry.end - entry.start for entry in entries.values()) > len(block) + _SHARED:
        raise ValueError("values that lie over each other many times")
    (following,) = offset.unpack_from(block, following_at)
    end = following_at + offset.size
    return Directory(entries=entries, end=end, following_at=following_at, following=following)


def patch(block: bytearray, entry: ValuePlace, number: int) -> None:
    """Overwrite an entry's one integer, in place, and in the type it has if that holds it."""
    order = entry.layout.order
    kind = LONG if entry.type == LONG or number > 0xFFFF else SHORT
    struct.pack_into(order + "H", block, entry.at + 2, kind)
    start = entry.at + 4 + entry.layout.offset.size
    numbers = (number,) if kind == LONG else (number, 0)
    struct.pack_into(order + ("I" if kind == LONG else "HH"), block, start, *numbers)


def pack(node: Node, at: int, *, big: bool = False) -> bytes:
    """Return a directory, its values and its children as they lie from offset ``at`` on.

    All is little-endian, and no directory follows. The length does not depend on numbers, so
    offsets can be filled in once it is known.
    """
    layout = NumberLayout(order="<", big=big)
    offset = layout.offset
    tags = sorted({*node.values, *node.children})
    behind = at + layout.count.size + len(tags) * (4 + 2 * offset.size) + offset.size
    table, tail = bytearray(layout.count.pack(len(tags))), bytearray()
    for tag in tags:
        if tag in node.children:
            value = MetadataValue(type=LONG8 if big else LONG, data=offset.pack(behind + len(tail)))
            tail += pack(node.children[tag], behind + len(tail), big=big)
        else:
            value = node.values[tag]
        data = value.data
        table += struct.pack("<HH", tag, value.type) + offset.pack(value.count)
        if len(data) > offset.size:
            table += offset.pack(behind + len(tail))
            tail += data + b"\0" * (-len(data) % 2)
        else:
            table += data.ljust(offset.size, b"\0")
    return bytes(table + offset.pack(0) + tail)


def _width(kind: int) -> int:
    return _UNITS[kind] * (2 if kind in _PAIRS else 1)
