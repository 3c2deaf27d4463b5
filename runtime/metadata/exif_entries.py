"""Entries of EXIF data: taken out without moving any other value."""

from __future__ import annotations

import struct

from . import directories
from .exif import PREFIX

__all__ = ["remove_entry"]

_ENTRY = 12
"""Bytes of one entry."""


def remove_entry(exif: bytes, tag: int) -> bytes:
    """Return EXIF data without an entry of its main directory.

    The entries behind it move up by one, and so does the link to the next directory; all that they
    point to stays where it is.
    """
    prefix = PREFIX if exif.startswith(PREFIX) else b""
    block = bytearray(exif[len(prefix) :])
    try:
        layout, at = directories.read_header(bytes(block))
        (count,) = struct.unpack_from(f"{layout.order}H", block, at)
        first, end = at + 2, at + 2 + count * _ENTRY + 4
        tags = [
            struct.unpack_from(f"{layout.order}H", block, first + i * _ENTRY)[0]
            for i in range(count)
        ]
    except (ValueError, struct.error):
        return exif
    if tag not in tags or end > len(block):
        return exif
    place = first + tags.index(tag) * _ENTRY
    block[place:end] = block[place + _ENTRY : end] + bytes(_ENTRY)
    struct.pack_into(f"{layout.order}H", block, at, count - 1)
    return prefix + bytes(block)
