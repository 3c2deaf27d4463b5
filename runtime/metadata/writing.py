"""Writing of TIFF directories, also those that EXIF has inside other files."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from .directories import LONG, LONG8, SHORT, MetadataValue, NumberLayout, ValuePlace

__all__ = ["Node", "pack", "patch"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A directory to be written, with those it points to."""

    values: Mapping[int, MetadataValue]
    children: Mapping[int, Node] = field(default_factory=dict)


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
