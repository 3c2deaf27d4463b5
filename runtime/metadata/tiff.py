"""Metadata of TIFF files: EXIF data and more, part of the file's own directory."""

from __future__ import annotations

import mmap
from typing import BinaryIO

from ..raster import Metadata
from . import directories, writing
from .directories import BYTE, UNDEFINED, Directory, MetadataValue, NumberLayout
from .exif import RESOLUTION_TAGS, exif_of_tiff, node_of_exif, resolution, resolution_values
from .writing import Node

__all__ = ["iptc_of_page", "metadata_of_page", "put_metadata_in_tiff"]

_XMP, _IPTC, _ICC = 700, 33723, 34675
_MOST_IPTC = 2**24


def metadata_of_page(
    data: bytes, page: Directory, layout: NumberLayout
) -> tuple[bytes | None, tuple[float, float] | None]:
    """Return what a TIFF file says about a picture as EXIF data of its own, and dots per inch."""
    return exif_of_tiff(data, page, layout), resolution(data, page)


def iptc_of_page(data: bytes, page: Directory) -> bytes | None:
    """Return a picture's IPTC data, or none; some writers pad it to whole numbers of four bytes."""
    entry = page.entries.get(_IPTC)
    if entry is None or not 0 < entry.end - entry.start <= _MOST_IPTC:
        return None
    found = entry.raw(data)
    return found if found.startswith(b"\x1c") else None


def put_metadata_in_tiff(file: BinaryIO, metadata: Metadata) -> None:
    """Add metadata to a TIFF file on disk that is open for reading and writing.

    A new main directory, the old one's entries and the metadata's, is put behind the file's end.
    A resolution that the old one had is left out.

    Args:
        file: a little-endian TIFF file of one directory.
        metadata: replaces what the file has of it.
    """
    file.flush()
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        layout, at = directories.read_header(data)
        main = directories.read(data, at, layout)
        own = {
            tag: entry.value(data)
            for tag, entry in main.entries.items()
            if tag not in RESOLUTION_TAGS
        }
        end = len(data) + len(data) % 2
    exif = node_of_exif(metadata.exif)
    added = {**exif.values, **(resolution_values(metadata.dpi) if metadata.dpi else {})}
    if metadata.xmp is not None:
        added[_XMP] = MetadataValue(type=BYTE, data=metadata.xmp)
    if metadata.iptc is not None:
        added[_IPTC] = MetadataValue(type=UNDEFINED, data=metadata.iptc)
    if metadata.icc_profile is not None:
        added[_ICC] = MetadataValue(type=UNDEFINED, data=metadata.icc_profile)
    node = Node(values={**added, **own}, children=exif.children)
    file.seek(end)
    file.write(writing.pack(node, end, big=layout.big))
    file.seek(layout.first_at)
    file.write(layout.offset.pack(end))
