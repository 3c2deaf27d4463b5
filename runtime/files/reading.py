"""The bytes of a file to a raster."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from tinysr.errors import ImageError

from ..pillow import raster_from_pil
from ..raster import Raster

__all__ = ["Decoded", "decode"]

_INPUT_FORMATS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "TIFF": "tiff", "BMP": "bmp"}
"""Pillow's readers that are used: some others run programs or were never meant for strangers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """What a file held."""

    raster: Raster
    format: str
    """One of :data:`~tinysr.runtime.files.FORMATS`, or "bmp"."""


def decode(data: bytes, name: str, *, max_megapixels: float) -> Decoded:
    """Decode the bytes of an image file.

    Args:
        data: the whole file.
        name: of the file, for messages.
        max_megapixels: millions of pixels; a file whose header says more is not decoded.

    Raises:
        ImageError: no image, damaged, too large, or a kind that is not read.
    """
    try:
        with Image.open(io.BytesIO(data), formats=tuple(_INPUT_FORMATS)) as image:
            _check_megapixels(image.width, image.height, max_megapixels)
            file_format = _INPUT_FORMATS[str(image.format)]
            return Decoded(raster=raster_from_pil(image), format=file_format)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except UnidentifiedImageError as error:
        found = "something else" if data else "an empty file"
        raise ImageError(
            f"{name}: expected a PNG, JPEG, WebP, TIFF or BMP image, found {found}"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise ImageError(f"{name}: the image is damaged: {' '.join(str(error).split())}") from error


def _check_megapixels(width: int, height: int, most: float) -> None:
    if width * height > most * 1e6:
        raise ImageError(
            f"expected at most {most:g} megapixels, found {width}×{height}: raise --max-megapixels"
        )
