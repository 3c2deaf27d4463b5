"""Items of AVIF and HEIC files: what is said of the primary one, and which others there are."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .boxes import Box, boxes_of, find_box

__all__ = ["Contents", "contents_of_heif"]

_FULL = 4
"""Bytes of version and flags, with which some boxes begin."""
_SAMPLE = 78
"""Bytes with which the description of a track's pictures begins."""
_MOST_ITEMS = 65_536
_SEQUENCES = (b"avis", b"msf1", b"hevc", b"hevx")
"""Major brands of files whose picture is an animation's."""

_PARTS = {
    b"hdrgainmap": "gain map",
    b"auxid:2": "depth map",
    b"depth": "depth map",
    b"semantic": "mask of a part",
}
"""Words in names of auxiliary images, and what these are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """Contents of a file beside the pixels of its picture."""

    colours: tuple[int, int] | None = None
    """Primaries and transfer function of the picture, in the numbers of ITU-T H.273."""
    limited: bool = False
    """Whether black is 16 and white 235, of 255."""
    premultiplied: bool = False
    grey: bool = False
    """Whether it is coded without colours."""
    frames: int = 1
    deep: bool = False
    """Whether the frames of an animation have more than 8 bits."""
    parts: tuple[str, ...] = ()
    """Images in the file that belong to the picture and are not read."""


def contents_of_heif(data: bytes) -> Contents:
    """Return what a file says of its primary item, or of its animation's frames.

    What is damaged is not said.
    """
    top = list(boxes_of(data))
    meta = find_box(iter(top), b"meta")
    frames = _count_frames(top)
    if frames > 1:
        return _contents_of_film(top, frames)
    if meta is None:
        return Contents()
    try:
        primary = _read_primary(meta)
        properties = list(_properties(meta, primary))
        references = list(_references(meta))
    except struct.error:
        return Contents()
    primaries, transfer, full = _read_colours(properties)
    return Contents(
        colours=(primaries, transfer) if primaries else None,
        limited=not full,
        grey=next((g for g in map(_is_grey, properties) if g is not None), False),
        premultiplied=any(kind == b"prem" and item == primary for kind, item in references),
        parts=tuple(dict.fromkeys(_parts(meta))),
    )


def _contents_of_film(top: list[Box], frames: int) -> Contents:
    """Return what an animation says of its frames, in the track that has their colours."""
    film = find_box(iter(top), b"moov")
    tracks = [box for box in film.inner() if box.kind == b"trak"] if film is not None else []
    properties = next((found for track in tracks if (found := _describe_track(track))), [])
    links = [box for track in tracks for box in track.inner() if box.kind == b"tref"]
    primaries, transfer, full = _read_colours(properties)
    return Contents(
        colours=(primaries, transfer) if primaries else None,
        limited=not full,
        grey=next((g for g in map(_is_grey, properties) if g is not None), False),
        premultiplied=any(box.find(b"prem") is not None for box in links),
        frames=frames,
        deep=any(_is_deep(box) for box in properties),
    )


def _describe_track(track: Box) -> list[Box]:
    """Return the properties of a track's frames; none if it is one of opacity alone."""
    media = track.find(b"mdia")
    handler = media.find(b"hdlr") if media is not None else None
    if handler is None or handler.body[8:12] != b"pict":
        return []
    box = media
    for kind in (b"minf", b"stbl", b"stsd"):
        box = box.find(kind) if box is not None else None
    entry = next(box.inner(_FULL + 4), None) if box is not None else None
    return list(entry.inner(_SAMPLE)) if entry is not None else []


def _read_colours(properties: list[Box]) -> tuple[int, int, bool]:
    """Return primaries, transfer function, and whether the range is full; 0 where it isn't said."""
    return next((found for box in properties if (found := _nclx(box))), (0, 0, True))


def _read_primary(meta: Box) -> int:
    found = meta.find(b"pitm", _FULL)
    if found is None:
        return 0
    body = found.body
    (item,) = struct.unpack_from(">I" if body[:1] != b"\0" else ">H", body, _FULL)
    return int(item)


def _properties(meta: Box, item: int) -> Iterator[Box]:
    """Yield the properties of an item, then all others: of tiles, where only these have any."""
    holder = meta.find(b"iprp", _FULL)
    listed = holder.find(b"ipco") if holder is not None else None
    if holder is None or listed is None:
        return
    known = list(listed.inner())
    for box in holder.inner():
        if box.kind == b"ipma":
            for index in _associations(box.body, item):
                if 0 < index <= len(known):
                    yield known[index - 1]
    yield from known


def _associations(body: bytes, item: int) -> list[int]:
    """Return the places of an item's properties, from 1."""
    wide_ids, wide_places = body[:1] != b"\0", body[3:4] == b"\1"
    (count,) = struct.unpack_from(">I", body, _FULL)
    at = _FULL + 4
    for _ in range(min(count, _MOST_ITEMS)):
        (found,) = struct.unpack_from(">I" if wide_ids else ">H", body, at)
        at += 4 if wide_ids else 2
        (places,) = struct.unpack_from(">B", body, at)
        layout = f">{places}{'H' if wide_places else 'B'}"
        if found == item:
            mask = 0x7FFF if wide_places else 0x7F
            return [place & mask for place in struct.unpack_from(layout, body, at + 1)]
        at += 1 + struct.calcsize(layout)
    return []


def _references(meta: Box) -> Iterator[tuple[bytes, int]]:
    """Yield kinds of references, and the items they are from."""
    holder = meta.find(b"iref", _FULL)
    if holder is None:
        return
    layout = ">H" if holder.body[:1] == b"\0" else ">I"
    for box in holder.inner(_FULL):
        yield box.kind, struct.unpack_from(layout, box.body)[0]


def _nclx(box: Box) -> tuple[int, int, bool] | None:
    body = box.body
    if box.kind != b"colr" or body[:4] != b"nclx" or len(body) < 11:
        return None
    primaries, transfer = struct.unpack_from(">HH", body, 4)
    return primaries, transfer, bool(body[10] & 0x80)


def _is_grey(box: Box) -> bool | None:
    """Tell whether a decoder's configuration is one for grey; None for another box."""
    body = box.body
    if box.kind == b"av1C" and len(body) > 2:
        return bool(body[2] & 0x10)
    if box.kind == b"hvcC" and len(body) > 16:
        return not body[16] & 3
    return None


def _is_deep(box: Box) -> bool:
    return box.kind == b"av1C" and len(box.body) > 2 and bool(box.body[2] & 0x40)


def _parts(meta: Box) -> Iterator[str]:
    holder = meta.find(b"iprp", _FULL)
    listed = holder.find(b"ipco") if holder is not None else None
    for box in listed.inner() if listed is not None else ():
        if box.kind == b"auxC":
            yield from (name for word, name in _PARTS.items() if word in box.body)
    items = meta.find(b"iinf", _FULL)
    if items is not None and b"tmap" in items.body:
        yield "gain map"


def _count_frames(top: list[Box]) -> int:
    """Return how many frames an animation has, 1 for a still picture."""
    brand = find_box(iter(top), b"ftyp")
    film = find_box(iter(top), b"moov")
    if film is None or brand is None or brand.body[:4] not in _SEQUENCES:
        return 1
    counts = [1]
    for track in film.inner():
        box: Box | None = track if track.kind == b"trak" else None
        for kind in (b"mdia", b"minf", b"stbl", b"stsz"):
            box = box.find(kind) if box is not None else None
        if box is not None and len(box.body) >= 12:
            counts.append(int.from_bytes(box.body[8:12], "big"))
    return max(counts)
