"""Rasters to the bytes of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from tinysr.errors import ImageError

from ..metadata import resize_metadata
from ..raster import Raster, check_pixels, to_sixteen_bit
from .fitness import check_holds
from .formats import check_size
from .jxl_write import write_jxl
from .pillow_write import write_avif, write_jpeg, write_webp
from .png_colour import with_profile
from .vips_write import write_png, write_tiff

__all__ = ["encode_into"]

_WRITERS: dict[str, Callable[[Raster, BinaryIO], None]] = {
    "png": write_png,
    "jpg": write_jpeg,
    "webp": write_webp,
    "avif": write_avif,
    "jxl": write_jxl,
    "tiff": write_tiff,
}


def encode_into(raster: Raster, file_format: str, file: BinaryIO, name: str) -> None:
    """Encode a raster into an open file.

    TIFF holds every depth; PNG rounds floats to 16 bits, and the others are written in 8. The size
    in EXIF and XMP data becomes that of the raster.

    Args:
        raster: the image.
        file_format: one of :data:`~tinysr.runtime.files.FORMATS`.
        file: empty, open for reading and writing in binary.
        name: of the file, for messages.

    Raises:
        UnsupportedError: an unknown format.
        ImageError: the format can't hold the image.
        OSError: the file can't be written.
    """
    try:
        check_size(file_format, *raster.size)
        check_pixels(raster.pixels)
        pixels = raster.pixels
        if file_format == "png" and pixels.dtype == np.float32:
            pixels = to_sixteen_bit(pixels)
        sized = Raster(pixels=pixels, metadata=resize_metadata(raster))
        check_holds(file_format, sized)
        if file_format != "png":  # WebP holds no grey
            grey = pixels.shape[2] <= 2 and file_format != "webp"
            sized = replace(sized, metadata=with_profile(sized.metadata, grey=grey))
        _WRITERS[file_format](sized, file)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
