"""Packages that a few formats need, and the error where one is missing."""

from __future__ import annotations

from typing import Any

from tinysr.errors import ImageError, MissingBackendError, require

__all__ = ["check_package", "load_package"]

_PACKAGES = {
    "heic": ("HEIC photos", "heif", "pillow_heif"),
    "jxl": ("JPEG XL images", "jxl", "pillow_jxl"),
}
"""Name of what is read or written, the extra that brings the package, and the module."""


def load_package(file_format: str) -> Any:
    """Return the module that reads or writes a format.

    Raises:
        ImageError: it is not installed; the message names the extra.
    """
    what, extra, module = _PACKAGES[file_format]
    try:
        return require(module, extra=extra)
    except MissingBackendError as error:
        raise ImageError(
            f"{what} need a package that is not installed: pip install 'tinysr[{extra}]'"
        ) from error


def check_package(file_format: str) -> None:
    """Say before any work is done whether a format's package is missing; most need none.

    Raises:
        ImageError: it is.
    """
    if file_format in _PACKAGES:
        load_package(file_format)
