"""The formats images come in and go out in: names, suffixes, and what each can hold."""

from __future__ import annotations

from pathlib import Path

from tinysr.errors import ImageError, UnsupportedError, choice_error

from .packages import check_package

__all__ = [
    "FORMATS",
    "INPUT_SUFFIXES",
    "OUTPUT_SUFFIXES",
    "check_size",
    "find_format",
    "format_of",
]

FORMATS = ("png", "jpg", "webp", "avif", "jxl", "tiff")
"""Names of the formats that can be written."""

OUTPUT_SUFFIXES = {
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".jpe": "jpg",
    ".jif": "jpg",
    ".jfif": "jpg",
    ".webp": "webp",
    ".avif": "avif",
    ".jxl": "jxl",
    ".tif": "tiff",
    ".tiff": "tiff",
}
"""Suffixes that can be written, and the format of each."""

INPUT_SUFFIXES = frozenset(
    {
        *OUTPUT_SUFFIXES,
        *(
            ".apng",
            ".bmp",
            ".dib",
            ".gif",
            ".heic",
            ".heif",
            ".hif",
            ".ico",
            ".j2c",
            ".j2k",
            ".jp2",
            ".jpc",
        ),
        *(".jpf", ".jpx", ".mpo", ".pbm", ".pgm", ".pnm", ".ppm", ".qoi", ".tga"),
    }
)
"""Suffixes that are looked for in folders."""

_LARGEST_SIDE = {
    "png": 2**31 - 1, "jpg": 65_500, "webp": 16_383, "avif": 32_768, "jxl": 2**30,
    "tiff": 2**31 - 1,
}  # fmt: skip
"""Pixels. JPEG's fields hold 65535, libjpeg's buffers 65500; AV1's hold 65536, but libavif, which
most programs read it by, takes 32768."""


def format_of(path: Path) -> str:
    """Return the format that a path's suffix asks for.

    Raises:
        UnsupportedError: the suffix is not one that can be written.
        ImageError: a package that the format needs is missing.
    """
    suffix = path.suffix.lower()
    if suffix not in OUTPUT_SUFFIXES:
        raise UnsupportedError(
            f"{path}: {suffix or 'a file without a suffix'} can't be written: expected one of "
            f"{', '.join(OUTPUT_SUFFIXES)}"
        )
    found = OUTPUT_SUFFIXES[suffix]
    try:
        check_package(found)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    return found


def find_format(name: str) -> str:
    """Return a format by any of its names: jpeg, tif, PNG or .webp.

    Raises:
        UnsupportedError: it is none that can be written.
        ImageError: a package that it needs is missing.
    """
    known = {suffix.removeprefix("."): found for suffix, found in OUTPUT_SUFFIXES.items()}
    found = known.get(name.strip().lower().removeprefix("."))
    if found is None:
        raise choice_error("format", name, FORMATS)
    check_package(found)
    return found


def check_size(file_format: str, width: int, height: int) -> None:
    """Refuse an image that is too large for a format; callable before the work is done.

    Raises:
        UnsupportedError: an unknown format.
        ImageError: a side is longer than the format can hold.
    """
    if file_format not in FORMATS:
        raise choice_error("format", file_format, FORMATS)
    longest = max(width, height)
    if longest > _LARGEST_SIDE[file_format]:
        others = [name for name in FORMATS if longest <= _LARGEST_SIDE[name]]
        raise ImageError(
            f"expected sides of at most {_LARGEST_SIDE[file_format]} pixels in a {file_format} "
            f"file, found {width}×{height}: write {' or '.join(others)}"
        )
