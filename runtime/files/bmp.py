"""BMP files to rasters, by Pillow."""

from __future__ import annotations

import io

from PIL import BmpImagePlugin

from tinysr.errors import ImageError

from ..pillow import raster_from_pil
from ..raster import Raster
from .limits import Accept, Header, check_header

__all__ = ["read_bmp"]


def read_bmp(data: bytes, most: float, accept: Accept) -> Raster:
    """Decode a BMP file; see :func:`tinysr.runtime.files.decode`.

    The class is used rather than ``Image.open``, whose own limit on sizes is a global variable.
    """
    try:
        image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    except Exception as error:  # it raises whatever a damaged header leads it to
        raise ImageError(f"the image is damaged: {' '.join(str(error).split())}") from error
    channels = len(image.getbands())
    header = Header(width=image.width, height=image.height, channels=channels, format="bmp")
    check_header(header, most)
    accept(header)
    return raster_from_pil(image)
