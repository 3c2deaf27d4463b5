"""BMP files to rasters, by Pillow."""

from __future__ import annotations

import struct

from PIL import BmpImagePlugin

from ..pillow import raster_from_pil
from ..raster import Raster
from .limits import MOST_METADATA, Accept, Header, check_header
from .pillow_read import open_by_pillow

__all__ = ["read_bmp"]

_HEADER, _VERSION_5 = 14, 124
"""Offset of the header that says a version by its length, and that length in version 5."""
_SPACE, _PROFILE = 56, 112
"""Offsets in it: of the kind of colours, and of the profile's own offset and length."""
_EMBEDDED = b"DEBM"
"""PROFILE_EMBEDDED, 'MBED' as a number."""

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
    image = open_by_pillow(data, BmpImagePlugin.BmpImageFile)
    channels = len(image.getbands())
    header = Header(width=image.width, height=image.height, channels=channels, format="bmp")
    check_header(header, most)
    accept(header)
    if damaged:
        missing = bytes(_MOST_BYTES * image.width * image.height)
        image = open_by_pillow(data + missing, BmpImagePlugin.BmpImageFile)
    profile = _find_profile(data)
    if profile is not None:
        image.info["icc_profile"] = profile
    return raster_from_pil(image)


def _find_profile(data: bytes) -> bytes | None:
    """Return the profile that a file of version 5 has within it, or none."""
    header = data[_HEADER : _HEADER + _VERSION_5]
    if len(header) < _VERSION_5 or struct.unpack_from("<I", header)[0] < _VERSION_5:
        return None
    if header[_SPACE : _SPACE + 4] != _EMBEDDED:
        return None
    start, length = struct.unpack_from("<II", header, _PROFILE)
    found = data[_HEADER + start : _HEADER + start + length]
    return found if len(found) == length <= MOST_METADATA else None
