"""BMP files to rasters, by Pillow."""

from __future__ import annotations

import struct
from dataclasses import replace

from PIL import BmpImagePlugin

from tinysr.errors import ImageError

from ..pillow import raster_from_pil
from ..raster import Raster
from .limits import MOST_METADATA, Accept, Header, check_header
from .pillow_read import open_by_pillow

__all__ = ["read_bmp"]

_HEADER, _VERSION_5 = 14, 124
"""Offset of the header that says a version by its length, and that length in version 5."""
_SPACE, _PROFILE = 56, 112
"""Offsets in it: of the kind of colours, and of the profile's own offset and length."""
_VERSION_4, _POINTS, _GAMMAS = 108, 60, 96
"""Length of the header in version 4; offsets of the primaries and of their gammas."""
_CALIBRATED = 0
"""Kind of colours that are said by numbers."""
_D65 = (31_270, 32_900)
_NEAR = 1e-3

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
    found = raster_from_pil(image)
    metadata = replace(found.metadata, png_colour=_find_colours(data))
    return replace(found, metadata=metadata)


def _find_colours(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the colours that a file of version 4 says by numbers, as chunks of a PNG file.

    The white is D65 where primaries are given as shares of 1, and their sum where as XYZ. Zeros say
    nothing: programs write them that know no colours.

    Raises:
        ImageError: each primary has its own gamma.
    """
    header = data[_HEADER : _HEADER + _VERSION_4]
    if len(header) < _VERSION_4 or struct.unpack_from("<I", header)[0] < _VERSION_4:
        return ()
    numbers = struct.unpack_from("<9i", header, _POINTS)
    gammas = struct.unpack_from("<3I", header, _GAMMAS)
    primaries = [[part / 2**30 for part in numbers[at : at + 3]] for at in (0, 3, 6)]
    sums = [sum(primary) for primary in primaries]
    kind = struct.unpack_from("<I", header, _SPACE)[0]
    if kind != _CALIBRATED or not all(gammas) or min(sums) <= 0 or min(numbers) < 0:
        return ()
    if max(gammas) > (1 + _NEAR) * min(gammas):
        raise ImageError(
            "BMP whose colours have a gamma each is not supported: save it as PNG with a profile"
        )
    white = [sum(parts) for parts in zip(*primaries, strict=True)]
    points = [
        round(1e5 * part / total)
        for primary, total in zip((white, *primaries), (sum(white), *sums), strict=True)
        for part in primary[:2]
    ]
    if all(abs(total - 1) < _NEAR for total in sums):
        points[:2] = _D65
    gamma = round(1e5 * 2**16 / gammas[0])
    return ((b"gAMA", struct.pack(">I", gamma)), (b"cHRM", struct.pack(">8I", *points)))


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
