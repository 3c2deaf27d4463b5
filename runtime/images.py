"""Image files: read with one clear error each, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import warnings
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from tinysr.errors import ImageError, choices

from .pixels import decoded

__all__ = ["INPUT_SUFFIXES", "OUTPUT_SUFFIXES", "check_writable", "load", "save"]

INPUT_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
"""What is looked for in folders."""

_INPUT_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
"""Pillow's readers that are used: some others run programs or were never meant for strangers."""

_SAVE: dict[str, tuple[str, dict[str, Any]]] = {
    "PNG": ("PNG", {"compress_level": 4}),
    "JPEG": ("JPEG", {"quality": 95, "subsampling": 0, "optimize": True}),
    "WEBP": ("WEBP", {"quality": 95, "method": 4}),
}

OUTPUT_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""Suffixes that can be written, and Pillow's name for each."""


def load(path: Path) -> Image.Image:
    """Read and decode an image file; the orientation is applied, ICC and EXIF data are kept.

    Raises:
        ImageError: it is missing, no image, truncated, empty or implausibly large.
    """
    try:
        with warnings.catch_warnings():
            # The size is limited by what asks for the image; Pillow's own limit still ends at 2×.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=_INPUT_FORMATS) as image:
                return decoded(image)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except UnidentifiedImageError as error:
        found = "an empty file" if path.stat().st_size == 0 else "something else"
        raise ImageError(
            f"{path}: expected a PNG, JPEG, WebP, TIFF or BMP image, found {found}"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}") from error
    except OSError as error:
        words = error.strerror or f"the image is damaged: {error}"  # Pillow's has no errno
        raise ImageError(f"{path}: {words}") from error
    except (SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"{path}: the image is damaged: {error}") from error


def save(image: Image.Image, path: Path, *, overwrite: bool = False) -> None:
    """Write an image in the format of the path's suffix, whole or not at all.

    ICC profile and EXIF data in ``image.info`` are written too. JPEG is written at quality 95
    without chroma subsampling. Missing folders are made.

    Raises:
        UnsupportedError: the suffix is not one that can be written.
        ImageError: the file exists and is kept, the folder can't be written, or the format
            can't hold the image.
    """
    file_format = format_of(path)
    if file_format == "JPEG" and image.mode == "RGBA":
        image = _opaque(image, path)
    _check_existing(path, overwrite=overwrite)
    name, options = _SAVE[file_format]
    extras = {key: image.info[key] for key in ("icc_profile", "exif") if key in image.info}
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            image.save(file, format=name, **options, **extras)
        _check_existing(path, overwrite=overwrite)
        temporary.replace(path)
    except OSError as error:
        raise ImageError(f"{path}: can't be written: {error.strerror or error}") from error
    except ValueError as error:  # a format's largest side
        raise ImageError(f"{path}: {name} can't hold this image: {error}") from error
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


def format_of(path: Path) -> str:
    """Return Pillow's name of the format that a path's suffix asks for."""
    suffix = path.suffix.lower()
    if suffix not in OUTPUT_SUFFIXES:
        raise choices("output suffix", suffix or path.name, OUTPUT_SUFFIXES)
    return OUTPUT_SUFFIXES[suffix]


def _check_existing(path: Path, *, overwrite: bool) -> None:
    if path.is_dir():
        raise ImageError(f"{path}: can't be written: it is a folder")
    if not overwrite and path.exists():
        raise ImageError(f"{path}: exists and is kept; --overwrite replaces it")


def _opaque(image: Image.Image, path: Path) -> Image.Image:
    if image.getchannel("A").getextrema() != (255, 255):
        raise ImageError(f"{path}: JPEG holds no transparency; write PNG or WebP")
    opaque = image.convert("RGB")
    opaque.info.update(image.info)
    return opaque
