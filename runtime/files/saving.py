"""Writing files: whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tinysr import paths, places
from tinysr.atomic import replace_atomically
from tinysr.errors import ImageError, choice_error

from ..raster import Raster
from .formats import FORMATS, format_of
from .writing import encode_into

__all__ = ["check_writable", "save"]


def save(
    raster: Raster,
    path: Path,
    *,
    overwrite: bool = False,
    file_format: str | None = None,
    on_whole: Callable[[Path], None] | None = None,
) -> None:
    """Write an image, whole or not at all. Missing folders are made.

    Args:
        raster: the image.
        path: the file; its suffix names the format unless ``file_format`` does.
        overwrite: replace an existing file.
        file_format: one of :data:`~tinysr.runtime.files.FORMATS`.
        on_whole: called with the finished file, under its passing name, before it takes its place.

    Raises:
        UnsupportedError: the suffix or the format is not one that can be written.
        ImageError: the file exists and is kept, the folder can't be written, or the format
            can't hold the image.
    """
    if file_format is None:
        file_format = format_of(path)
    elif file_format not in FORMATS:
        raise choice_error("format", file_format, FORMATS)
    _check_existing(path, overwrite=overwrite)
    with replace_atomically(path, ImageError) as temporary:
        with temporary.open("r+b") as file:
            encode_into(raster, file_format, file, str(path))
        _check_existing(path, overwrite=overwrite)
        if on_whole is not None:
            on_whole(temporary)


def check_writable(path: Path, *, overwrite: bool = False) -> None:
    """Say before the work is done whether :func:`save` would refuse a path.

    Raises:
        UnsupportedError: the suffix is not one that can be written.
        ImageError: the file exists and is kept, or its folder can't be written or made.
    """
    format_of(path)
    _check_existing(path, overwrite=overwrite)
    places.check_creatable(path, ImageError)


def _check_existing(path: Path, *, overwrite: bool) -> None:
    if paths.is_folder(path, ImageError):
        raise ImageError(f"{path}: can't be written: it is a folder")
    if not overwrite and paths.exists(path, ImageError):
        raise ImageError(f"{path}: exists and is kept; --overwrite replaces it")
