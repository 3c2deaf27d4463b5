"""How large an image may be, checked on headers before anything is decoded."""

from __future__ import annotations

from tinysr.errors import ImageError

__all__ = ["MOST_METADATA", "check_megapixels"]

MOST_METADATA = 2**24
"""Bytes of one profile or packet, decompressed; the largest in use have some megabytes."""


def check_megapixels(width: int, height: int, most: float) -> None:
    """Refuse a header's size.

    Args:
        width: in pixels.
        height: in pixels.
        most: millions of pixels.

    Raises:
        ImageError: no pixels, or too many.
    """
    if width < 1 or height < 1:
        raise ImageError(f"expected an image of at least 1×1 pixels, found {width}×{height}")
    if width * height > most * 1e6:
        raise ImageError(
            f"expected at most {most:g} megapixels, found {width}×{height}: "
            "--max-megapixels raises the limit"
        )
