"""XMP packets: kept as they lie, but upright and with the right size.

Properties are found by their usual prefixes, as attributes or as elements; the packet is not
parsed, so that nothing else in it can change and nothing in it can expand.
"""

from __future__ import annotations

import re

__all__ = ["sized_xmp", "upright_xmp", "xmp_orientation"]


def _property(names: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(\b(?:" + names + rb")(?:\s?=\s?[\"']|>))(\d{1,10})(?=[\"'<])")


_ORIENTATION = _property(rb"tiff:Orientation")
_WIDTH = _property(rb"tiff:ImageWidth|exif:PixelXDimension")
_HEIGHT = _property(rb"tiff:ImageLength|exif:PixelYDimension")


def xmp_orientation(xmp: bytes | None) -> int | None:
    """Return the orientation that a packet states, 1 to 8, or none."""
    found = _ORIENTATION.search(xmp) if xmp else None
    value = int(found.group(2)) if found else 0
    return value if value in range(1, 9) else None


def upright_xmp(xmp: bytes | None) -> bytes | None:
    """Return a packet with orientation 1, if it states one."""
    return _ORIENTATION.sub(rb"\g<1>1", xmp) if xmp else None


def sized_xmp(xmp: bytes | None, width: int, height: int) -> bytes | None:
    """Return a packet whose size properties, where it has them, are those of an image."""
    if not xmp:
        return None
    sized = _WIDTH.sub(rb"\g<1>%d" % width, xmp)
    return _HEIGHT.sub(rb"\g<1>%d" % height, sized)
