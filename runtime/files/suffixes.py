"""Suffixes of image files: which ends of names are one, and names with others in their place."""

from __future__ import annotations

from pathlib import Path

from .formats import FORMATS, INPUT_SUFFIXES, OUTPUT_SUFFIXES

__all__ = ["IMAGE_SUFFIXES", "image_suffix", "with_format", "with_mark"]

IMAGE_SUFFIXES = INPUT_SUFFIXES | {
    *(".arw", ".cr2", ".cr3", ".dds", ".dng", ".exr", ".hdr"),
    *(".nef", ".orf", ".pcx", ".pdf", ".pjpeg", ".psd", ".raf", ".raw", ".rw2", ".svg"),
}
"""Suffixes by which people know images, lower case. What is behind any other dot is part of the
name: a date, a version, an address."""

_FALLBACK = FORMATS[0]
"""Format of the output where an input's can't be written."""

_FALLBACKS = {".mpo": "jpg"}
"""Formats of outputs of inputs that are nearly one that can be written."""


def image_suffix(path: Path) -> str:
    """Return the suffix of an image's name as it is written, or none."""
    return path.suffix if path.suffix.lower() in IMAGE_SUFFIXES else ""


def with_mark(path: Path, mark: str) -> Path:
    """Return `photo-x4.jpg` for `photo.jpg` and the mark `-x4`; other dots are part of the name."""
    suffix = image_suffix(path)
    return path.with_name(f"{path.name.removesuffix(suffix)}{mark}{suffix}")


def with_format(path: Path, file_format: str | None) -> Path:
    """Return a path whose suffix says a format that can be written.

    Args:
        path: an image's; a suffix that says the format already stays as it is.
        file_format: one of :data:`~tinysr.runtime.files.FORMATS`; None is the path's own, JPEG
            for what is one under another name, or PNG.
    """
    suffix = image_suffix(path)
    own = OUTPUT_SUFFIXES.get(suffix.lower())
    if own is not None and file_format in (None, own):
        return path
    other = file_format or _FALLBACKS.get(suffix.lower(), _FALLBACK)
    return path.with_name(f"{path.name.removesuffix(suffix)}.{other}")
