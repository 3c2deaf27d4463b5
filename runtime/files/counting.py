"""Pictures in a file: how many pages or frames there are to choose from, counted on headers."""

from __future__ import annotations

from collections.abc import Callable

from tinysr.errors import ImageError

from ..vips import damage, pyvips, use_vips
from .avif import count_avif
from .heic import count_heic
from .kinds import find_kind
from .png import frames_of
from .tiff_pages import pictures_of_tiff
from .vips_read import LOADERS

__all__ = ["MOST_PICTURES", "count_pictures", "may_have_several"]

MOST_PICTURES = 65_536
"""Most pages or frames of one file that are taken: a header may tell of billions."""


def count_pictures(data: bytes) -> int:
    """Return how many pages or frames a file has that can be taken one by one; else 1.

    Args:
        data: the whole file.

    Raises:
        ImageError: it is damaged, of a kind that is not read, or has absurdly many.
    """
    counter = _COUNTERS.get(find_kind(data) or "")
    count = 1 if counter is None else counter(data)
    if count > MOST_PICTURES:
        raise ImageError(f"expected at most {MOST_PICTURES} pages or frames, found {count}")
    return count


def may_have_several(start: bytes) -> bool:
    """Tell whether a file with this beginning may have several pictures."""
    return find_kind(start) in _COUNTERS


def _count_frames(data: bytes) -> int:
    """Return how many frames a GIF or WebP file has."""
    with use_vips():
        try:
            image = pyvips.Operation.call(LOADERS[find_kind(data) or ""], data)
        except pyvips.Error as error:
            raise damage(error) from error
        return int(image.get("n-pages")) if image.get_typeof("n-pages") else 1


_COUNTERS: dict[str, Callable[[bytes], int]] = {
    "avif": count_avif,
    "gif": _count_frames,
    "heic": count_heic,
    "png": frames_of,
    "tiff": lambda data: len(pictures_of_tiff(data)),
    "webp": _count_frames,
}
"""Counters of the formats whose pictures can be taken one by one."""
