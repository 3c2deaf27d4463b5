"""BMP files to rasters, by Pillow."""

from __future__ import annotations

import io

from PIL import BmpImagePlugin

from tinysr.errors import ImageError

from ..pillow import raster_from_pil
from ..raster import Raster
from .limits import Accept, Header, check_header

__all__ = ["read_bmp"]

_MOST_BYTES = 4
"""Bytes of a pixel."""


def read_bmp(data: bytes, most: float, accept: Accept, *, damaged: bool = False) -> Raster:
    """Decode a BMP file; see :func:`tinysr.runtime.files.decode`.

    Args:
        data: the whole file.
        most: millions of pixels.
        accept: called with the header.
        damaged: put zeros in place of bytes that are missing at the end.
    """
    image = _open(data)
    channels = len(image.getbands())
    header = Header(width=image.width, height=image.height, channels=channels, format="bmp")
    check_header(header, most)
    accept(header)
    if damaged:
        image = _open(data + bytes(_MOST_BYTES * image.width * image.height))
    return raster_from_pil(image)


def _open(data: bytes) -> BmpImagePlugin.BmpImageFile:
    """Read a file's header.

    The class is used rather than ``Image.open``, whose own limit on sizes is a global variable.
    """
    try:
        return BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    except Exception as error:  # it raises whatever a damaged header leads it to
        raise ImageError(f"the image is damaged: {' '.join(str(error).split())}") from error
