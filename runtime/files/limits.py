"""Limits of an image's size, checked on headers before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from tinysr.errors import ImageError

__all__ = ["MOST_CHANNELS", "MOST_METADATA", "Accept", "Header", "check_header", "check_page",
           "refuse_premultiplied"]  # fmt: skip

MOST_METADATA = 2**24
"""Bytes of one profile or packet, decompressed; the largest in use have some megabytes."""

_MOST_KEPT = 4

MOST_CHANNELS = 8
"""Most channels of a file, the ones that are left out included; each of them is decoded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """Size and channels that a file states before its pixels are decoded."""

    width: int
    """Width in pixels, as they lie in the file."""
    height: int
    channels: int
    """Alpha included."""
    value_bytes: int = 1
    """Bytes of one value of one pixel."""
    format: str
    """One of :data:`~tinysr.runtime.files.FORMATS`, or another that is read."""


Accept = Callable[[Header], object]
"""Raises ImageError for an image that is not to be decoded."""


def check_header(header: Header, most: float) -> None:
    """Refuse a header's size.

    Args:
        header: of the file.
        most: millions of pixels.

    Raises:
        ImageError: no pixels, or too many, or too many channels.
    """
    width, height = header.width, header.height
    if width < 1 or height < 1:
        raise ImageError(f"expected an image of at least 1×1 pixels, found {width}×{height}")
    if width * height > most * 1e6:
        raise ImageError(f"expected at most {most:g} megapixels, found {width}×{height}")
    if header.channels > _MOST_KEPT:
        raise ImageError(
            f"expected grey or RGB, with or without transparency, found {header.channels} channels"
        )


def check_page(page: int | None, count: int, what: str) -> None:
    """Refuse a file of several pictures of which none was named, and a page that is not there.

    Args:
        page: that was asked for, from 1, or None.
        count: pictures in the file.
        what: the pictures' name, such as "pages".

    Raises:
        ImageError: one of both.
    """
    if page is None and count > 1:
        raise ImageError(
            f"expected one still image, found {count} {what}: take one with --page N, or each as a "
            "file of its own with --page all"
        )
    if page is not None and page > count:
        found = f"{count} {what}" if count > 1 else "a single image"
        raise ImageError(f"expected a page {page}, found {found}")


def refuse_premultiplied() -> NoReturn:
    """Refuse colours that would have to be divided by their opacity.

    Raises:
        ImageError: always.
    """
    raise ImageError(
        "colours that are multiplied with their opacity are not supported: save it with "
        "straight transparency"
    )
