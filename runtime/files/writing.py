"""Rasters to the bytes of a file."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from tinysr.errors import ImageError

from ..pillow import pil_from_raster
from ..raster import Raster, check_pixels
from .formats import check_size

__all__ = ["encode_into"]

_SAVE: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 4},
    "jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "quality": 95, "method": 4},
    "tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
}


def encode_into(raster: Raster, file_format: str, file: BinaryIO, name: str) -> None:
    """Encode a raster into an open file.

    Args:
        raster: the image.
        file_format: one of :data:`~tinysr.runtime.files.FORMATS`.
        file: open for writing in binary.
        name: of the file, for messages.

    Raises:
        UnsupportedError: an unknown format.
        ImageError: the format can't hold the image.
        OSError: the file can't be written.
    """
    try:
        check_size(file_format, *raster.size)
        check_pixels(raster.pixels)
        if file_format == "jpg":
            raster = _opaque(raster)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    image = pil_from_raster(raster)
    extras = {k: v for k, v in image.info.items() if k in ("icc_profile", "exif", "dpi", "xmp")}
    image.save(file, **_SAVE[file_format], **extras)


def _opaque(raster: Raster) -> Raster:
    pixels = raster.pixels
    if pixels.shape[2] in (1, 3):
        return raster
    opaque = 1 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max
    if (pixels[..., -1] != opaque).any():
        raise ImageError("JPEG holds no transparency; write png, webp or tiff")
    return Raster(pixels=pixels[..., :-1], metadata=raster.metadata)
