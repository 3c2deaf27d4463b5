"""Directories of a TIFF file: which one is the picture, and what its tags say of its samples."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tinysr.errors import ImageError

from ..metadata import directories, writing
from ..metadata.directories import RATIONAL, Directory, NumberLayout
from .limits import check_page

__all__ = ["COMPRESSION", "PHOTOMETRIC", "Page", "picture_of_tiff", "pictures_of_tiff"]

COMPRESSION, PHOTOMETRIC = 259, 262
_KIND, _OLD_KIND, _FILL_ORDER, _ORIENTATION, _RESOLUTION_UNIT = 254, 255, 266, 274, 296
_INNER, _DNG_VERSION = 330, 50706

_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
"""Bits of what a directory is; and the number that an older tag has for a reduced copy."""

_RAW_COLOURS = {32803, 34892}
"""Photometric interpretations of what a sensor saw: behind a mosaic of filters, or linear."""

_RANGES = {_FILL_ORDER: range(1, 3), _ORIENTATION: range(1, 9), _RESOLUTION_UNIT: range(1, 4)}
"""Tags that libtiff refuses a whole file for, and the numbers they may have."""

_MOST_DIRECTORIES = 4096
_MOST_INNER = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One directory of a file."""

    data: bytes
    """The file."""
    index: int
    """Its place among the file's directories, from 0."""
    directory: Directory
    layout: NumberLayout

    def number(self, tag: int, default: int) -> int:
        """Return the one number of a tag, or its default."""
        return (self.numbers(tag) or (default,))[0]

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return the integers of a tag; none if it is missing or has others."""
        entry = self.directory.entries.get(tag)
        return entry.integers(self.data) if entry else ()

    def ratios(self, tag: int, count: int) -> tuple[float, ...] | None:
        """Return a tag's unsigned rationals, if there are so many and all are finite."""
        entry = self.directory.entries.get(tag)
        if entry is None or entry.type != RATIONAL or entry.count != count:
            return None
        parts = struct.unpack(f"{self.layout.order}{2 * count}I", entry.raw(self.data))
        above, below = parts[::2], parts[1::2]
        return tuple(a / b for a, b in zip(above, below, strict=True)) if all(below) else None

    @property
    def subordinate(self) -> bool:
        """Whether it says that it is a reduced copy or a mask of another."""
        reduced = self.number(_OLD_KIND, 0) == _OLD_REDUCED
        return reduced or bool(self.number(_KIND, 0) & (_REDUCED | _MASK))

    def tidy(self) -> bytes:
        """Return the file with usual numbers for odd ones that say nothing about pixels."""
        said = {tag: self.directory.integer(tag, self.data) for tag in _RANGES}
        odd = [t for t, number in said.items() if number is not None and number not in _RANGES[t]]
        if not odd:
            return self.data
        result = bytearray(self.data)
        for tag in odd:
            writing.patch(result, self.directory.entries[tag], 1)
        return bytes(result)


def picture_of_tiff(data: bytes, page: int | None = None) -> Page:
    """Return the one directory that is a picture; reduced copies and masks of it are none.

    Args:
        data: the file.
        page: which of several pictures, from 1; None for the only one.

    Raises:
        ImageError: damaged, a raw photo, or several pictures.
    """
    pictures = pictures_of_tiff(data)
    check_page(page, len(pictures), "pages")
    return pictures[(page or 1) - 1]


def pictures_of_tiff(data: bytes) -> list[Page]:
    """Return the directories that are pictures; of a file with no other, reduced copies count.

    Raises:
        ImageError: damaged, or a raw photo.
    """
    try:
        layout, at = directories.read_header(data)
        pages = list(_pages(data, at, layout))
    except ValueError as error:
        raise ImageError(f"the image is damaged: {error}") from error
    if any(_is_raw(page) for page in pages) or data[8:10] == b"CR":
        raise ImageError(
            "raw photos are not supported, and the preview in one is not the photo: develop it "
            "first, to TIFF or JPEG"
        )
    return [page for page in pages if not page.subordinate] or pages


def _pages(data: bytes, at: int, layout: NumberLayout) -> Iterator[Page]:
    """Yield the directories of the file's own list, in order; the first must be whole."""
    seen: set[int] = set()
    while at and at not in seen and len(seen) < _MOST_DIRECTORIES:
        try:
            found = directories.read(data, at, layout)
        except ValueError:
            if not seen:
                raise
            return
        yield Page(data=data, index=len(seen), directory=found, layout=layout)
        seen.add(at)
        at = found.following
    if not seen:
        raise ValueError("no directory")


def _is_raw(page: Page) -> bool:
    if _DNG_VERSION in page.directory.entries:
        return True
    inner = (_find_inner(page, at) for at in page.numbers(_INNER)[:_MOST_INNER])
    colours = (found.number(PHOTOMETRIC, 0) for found in (page, *inner) if found is not None)
    return any(colour in _RAW_COLOURS for colour in colours)


def _find_inner(page: Page, at: int) -> Page | None:
    try:
        found = directories.read(page.data, at, page.layout)
    except ValueError:
        return None
    return Page(data=page.data, index=page.index, directory=found, layout=page.layout)
