"""EXIF data: kept as it lies, but upright, without thumbnail, and with the right size.

It is patched in place, because maker notes hold offsets into the block that would break if
anything moved. Only where a block has to be built (out of a TIFF file, into one, or shorter for
JPEG) do values move.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import directories, writing
from .directories import RATIONAL, SHORT, Directory, MetadataValue, NumberLayout
from .writing import Node

__all__ = [
    "ORIENTATION",
    "PREFIX",
    "RESOLUTION_TAGS",
    "exif_of_tiff",
    "node_of_exif",
    "orientation_of",
    "resize_exif",
    "resolution",
    "resolution_of",
    "resolution_values",
    "turn_exif_upright",
    "with_resolution",
]

PREFIX = b"Exif\0\0"
"""Bytes before the TIFF block, in JPEG files and in Pillow's ``info``."""

ORIENTATION = 274
RESOLUTION_TAGS = _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_INCH, _CENTIMETRE = 2, 3
_WIDTHS, _HEIGHTS = (256, 40962), (257, 40963)
_EXIF, _GPS, _INTEROPERABILITY = 34665, 34853, 40965
_THUMBNAIL, _THUMBNAIL_LENGTH = 513, 514
_DESCRIPTION = 270

_DESCRIPTIVE = {269, _DESCRIPTION, 271, 272, 285, 305, 306, 315, 316, 337, 18246, 18249, 33432}
_DESCRIPTIVE |= set(range(40091, 40096))  # title, comment, author, keywords, subject
"""Tags of a TIFF's main directory that describe the picture; the others describe the file."""

_OF_PROGRAMS = (b'{"shape"', b"ImageJ=", b"<?xml", b"<OME")
"""Descriptions in which a program notes the file's dimensions for itself: soon wrong."""


def orientation_of(exif: bytes | None) -> int | None:
    """Return the orientation, 1 to 8, or none."""
    if exif is None:
        return None
    try:
        block, layout, at = _open(exif)
        found = directories.read(block, at, layout).integer(ORIENTATION, block)
    except ValueError:
        return None
    return found if found in range(1, 9) else None


def turn_exif_upright(exif: bytes | None) -> bytes | None:
    """Return EXIF data with orientation 1 and without thumbnail; none if it is damaged."""
    if exif is None:
        return None
    try:
        block, layout, at = _open(exif)
        main = directories.read(block, at, layout)
    except ValueError:
        return None
    if not main.entries:
        return None
    result = bytearray(block)
    _patch(result, main, ORIENTATION, 1)
    if main.following:
        end = _thumbnail_start(block, main, layout)
        result[main.following_at : main.end] = bytes(main.end - main.following_at)
        del result[end:]
    return PREFIX + bytes(result)


def resize_exif(exif: bytes | None, width: int, height: int) -> bytes | None:
    """Return EXIF data whose size tags, where it has them, are those of an image."""
    if exif is None:
        return None
    try:
        block, layout, at = _open(exif)
        found = [found for _, found in _directories(block, at, layout)]
    except ValueError:
        return None
    result = bytearray(block)
    for directory in found:
        for tags, number in ((_WIDTHS, width), (_HEIGHTS, height)):
            for tag in tags:
                _patch(result, directory, tag, number)
    return PREFIX + bytes(result)


def resolution_of(exif: bytes | None) -> tuple[float, float] | None:
    """Return the dots per inch, across and down, or none."""
    if exif is None:
        return None
    try:
        block, layout, at = _open(exif)
        return resolution(block, directories.read(block, at, layout))
    except ValueError:
        return None


def resolution(block: bytes, main: Directory) -> tuple[float, float] | None:
    """Return the dots per inch that a directory holds, or none."""
    unit = main.integer(_RESOLUTION_UNIT, block) or _INCH
    across, down = (
        main.entries[tag].ratio(block) if tag in main.entries else None
        for tag in (_X_RESOLUTION, _Y_RESOLUTION)
    )
    if not across or not down or unit not in (_INCH, _CENTIMETRE):
        return None
    factor = 2.54 if unit == _CENTIMETRE else 1.0
    return across * factor, down * factor


def with_resolution(exif: bytes | None, dpi: tuple[float, float]) -> bytes:
    """Return EXIF data that holds a resolution; what it has already stays.

    For formats that have no other place for it.
    """
    if exif is not None and resolution_of(exif) is not None:
        return exif
    node = node_of_exif(exif)
    return _block(Node(values={**node.values, **resolution_values(dpi)}, children=node.children))


def resolution_values(dpi: tuple[float, float]) -> dict[int, MetadataValue]:
    """Return the three entries of a resolution in dots per inch."""
    across, down = (_rational(value) for value in dpi)
    unit = MetadataValue(type=SHORT, data=_INCH.to_bytes(2, "little"))
    return {_X_RESOLUTION: across, _Y_RESOLUTION: down, _RESOLUTION_UNIT: unit}


def exif_of_tiff(block: bytes, main: Directory, layout: NumberLayout) -> bytes | None:
    """Return what a TIFF file says about its picture as EXIF data of its own, or none."""
    node = _node(block, main, layout)
    return _block(node) if node.values or node.children else None


def node_of_exif(exif: bytes | None) -> Node:
    """Return EXIF data as a directory to be written: what describes the picture."""
    if exif is None:
        return Node(values={})
    try:
        block, layout, at = _open(exif)
        return _node(block, directories.read(block, at, layout), layout)
    except ValueError:
        return Node(values={})


def _open(exif: bytes) -> tuple[bytes, NumberLayout, int]:
    block = exif[len(PREFIX) :] if exif.startswith(PREFIX) else exif
    layout, at = directories.read_header(block)
    if layout.big:
        raise ValueError("EXIF data can't be a BigTIFF")
    return block, layout, at


def _directories(block: bytes, at: int, layout: NumberLayout) -> Iterator[tuple[int, Directory]]:
    """Yield the main directory and those it leads to, each under the tag that points to it."""
    main = directories.read(block, at, layout)
    yield 0, main
    yield from _children(block, main, layout)


def _children(
    block: bytes, parent: Directory, layout: NumberLayout
) -> Iterator[tuple[int, Directory]]:
    for tag in (_EXIF, _GPS):
        child = _child(block, parent, tag, layout)
        if child is not None:
            yield tag, child
            inner = _child(block, child, _INTEROPERABILITY, layout) if tag == _EXIF else None
            if inner is not None:
                yield _INTEROPERABILITY, inner


def _child(block: bytes, parent: Directory, tag: int, layout: NumberLayout) -> Directory | None:
    at = parent.integer(tag, block)
    try:
        return None if at is None else directories.read(block, at, layout)
    except ValueError:
        return None


def _thumbnail_start(block: bytes, main: Directory, layout: NumberLayout) -> int:
    """Return where the thumbnail begins if nothing lies behind it, else the block's end."""
    try:
        second = directories.read(block, main.following, layout)
    except ValueError:
        return len(block)
    start = second.integer(_THUMBNAIL, block)
    length = second.integer(_THUMBNAIL_LENGTH, block)
    if start is None or length is None:
        return len(block)
    kept = [main, *(child for _, child in _children(block, main, layout))]
    last = max(max([found.end, *(e.end for e in found.entries.values())]) for found in kept)
    return start if last <= start else len(block)


def _patch(result: bytearray, directory: Directory, tag: int, number: int) -> None:
    if directory.integer(tag, result) is not None:
        writing.patch(result, directory.entries[tag], number)


def _node(block: bytes, main: Directory, layout: NumberLayout) -> Node:
    values = {tag: entry.value(block) for tag, entry in main.entries.items() if tag in _DESCRIPTIVE}
    if _DESCRIPTION in values and values[_DESCRIPTION].data.lstrip().startswith(_OF_PROGRAMS):
        del values[_DESCRIPTION]
    nodes: dict[int, Node] = {}
    for tag, found in _children(block, main, layout):
        skipped = (_INTEROPERABILITY,)
        plain = {t: e.value(block) for t, e in found.entries.items() if t not in skipped}
        if tag == _INTEROPERABILITY:
            nodes[_EXIF] = Node(values=nodes[_EXIF].values, children={tag: Node(values=plain)})
        else:
            nodes[tag] = Node(values=plain)
    return Node(values=values, children=nodes)


def _block(node: Node) -> bytes:
    return PREFIX + b"II*\0" + (8).to_bytes(4, "little") + writing.pack(node, 8)


def _rational(value: float) -> MetadataValue:
    below = 10_000
    above = min(round(value * below), 2**32 - 1)
    data = above.to_bytes(4, "little") + below.to_bytes(4, "little")
    return MetadataValue(type=RATIONAL, data=data)
