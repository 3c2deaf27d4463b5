"""The formats images come in and go out in: names, suffixes, and what each can hold."""

from __future__ import annotations

from pathlib import Path

from tinysr.errors import ImageError, choices

__all__ = ["FORMATS", "INPUT_SUFFIXES", "OUTPUT_SUFFIXES", "check_size", "format_of"]

FORMATS = ("png", "jpg", "webp", "tiff")
"""Names of the formats that can be written, as --format takes them."""

OUTPUT_SUFFIXES = {
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}
"""Suffixes that can be written, and the format of each."""

INPUT_SUFFIXES = frozenset({*OUTPUT_SUFFIXES, ".bmp"})
"""What is looked for in folders."""

_LARGEST_SIDE = {"png": 2**31 - 1, "jpg": 65_500, "webp": 16_383, "tiff": 2**31 - 1}
"""Pixels. JPEG's fields hold 65535, libjpeg's buffers 65500."""


def format_of(path: Path) -> str:
    """Return the format that a path's suffix asks for.

    Raises:
        UnsupportedError: the suffix is not one that can be written.
    """
    suffix = path.suffix.lower()
    if suffix not in OUTPUT_SUFFIXES:
        raise choices("output suffix", suffix or path.name, OUTPUT_SUFFIXES)
    return OUTPUT_SUFFIXES[suffix]


def check_size(file_format: str, width: int, height: int) -> None:
    """Refuse an image that is too large for a format; callable before the work is done.

    Raises:
        UnsupportedError: an unknown format.
        ImageError: a side is longer than the format can hold.
    """
    if file_format not in FORMATS:
        raise choices("format", file_format, FORMATS)
    largest = _LARGEST_SIDE[file_format]
    if max(width, height) > largest:
        raise ImageError(
            f"expected sides of at most {largest} pixels in a {file_format} file, "
            f"found {width}×{height}: write png or tiff"
        )
