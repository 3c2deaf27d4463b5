"""Writing files: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from tinysr.errors import ImageError, choices

from ..raster import Raster
from .formats import FORMATS, format_of
from .writing import encode_into

__all__ = ["check_writable", "save"]


def save(
    raster: Raster, path: Path, *, overwrite: bool = False, file_format: str | None = None
) -> None:
    """Write an image, whole or not at all. Missing folders are made.

    Args:
        raster: the image.
        path: the file; its suffix names the format unless ``file_format`` does.
        overwrite: replace an existing file.
        file_format: one of :data:`~tinysr.runtime.files.FORMATS`.

    Raises:
        UnsupportedError: the suffix or the format is not one that can be written.
        ImageError: the file exists and is kept, the folder can't be written, or the format
            can't hold the image.
    """
    if file_format is None:
        file_format = format_of(path)
    elif file_format not in FORMATS:
        raise choices("format", file_format, FORMATS)
    _check_existing(path, overwrite=overwrite)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("x+b") as file:
            encode_into(raster, file_format, file, str(path))
        _check_existing(path, overwrite=overwrite)
        temporary.replace(path)
    except OSError as error:
        raise ImageError(f"{path}: can't be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # it is gone if all went well
            temporary.unlink()


def check_writable(path: Path, *, overwrite: bool = False) -> None:
    """Say before the work is done whether :func:`save` would refuse a path.

    Raises:
        UnsupportedError: the suffix is not one that can be written.
        ImageError: the file exists and is kept, or its folder can't be written or made.
    """
    format_of(path)
    _check_existing(path, overwrite=overwrite)
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise ImageError(f"{path}: can't be written: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ImageError(f"{path}: can't be written: no permission to write in {folder}")


def _check_existing(path: Path, *, overwrite: bool) -> None:
    if path.is_dir():
        raise ImageError(f"{path}: can't be written: it is a folder")
    if not overwrite and path.exists():
        raise ImageError(f"{path}: exists and is kept; --overwrite replaces it")
