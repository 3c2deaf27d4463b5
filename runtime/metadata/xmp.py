"""XMP packets: kept as they lie, but upright and with the right size.

Properties are found by their usual prefixes, as attributes or as elements; the packet is not
parsed, so that nothing else in it can change and nothing in it can expand.
"""

from __future__ import annotations

import re

from .xmp_parts import remove_parts

__all__ = ["resize_xmp", "turn_xmp_upright", "xmp_orientation"]


def _property(names: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(\b(?:" + names + rb")(?:\s?=\s?[\"']|>))(\d{1,10})(?=[\"'<])")


_ORIENTATION = _property(rb"tiff:Orientation")
_WIDTH = _property(rb"tiff:ImageWidth|exif:PixelXDimension")
_HEIGHT = _property(rb"tiff:ImageLength|exif:PixelYDimension")

_REGIONS = re.compile(rb"stDim:unit(?:\s?=\s?[\"']|>)pixel[\"'<]")
"""Faces and the like are given in shares of an image whose size stands beside them."""
_REGIONS_WIDTH, _REGIONS_HEIGHT = _property(rb"stDim:w"), _property(rb"stDim:h")

_PANORAMA_WIDTH = _property(
    rb"GPano:(?:CroppedAreaImageWidthPixels|FullPanoWidthPixels|CroppedAreaLeftPixels"
    rb"|LargestValidInteriorRect(?:Left|Width))"
)
_PANORAMA_HEIGHT = _property(
    rb"GPano:(?:CroppedAreaImageHeightPixels|FullPanoHeightPixels|CroppedAreaTopPixels"
    rb"|LargestValidInteriorRect(?:Top|Height))"
)
"""Pixels of a panorama: all grow as the part of it that the image is."""
_PANORAMA_IMAGE_WIDTH = _property(rb"GPano:CroppedAreaImageWidthPixels")
_PANORAMA_IMAGE_HEIGHT = _property(rb"GPano:CroppedAreaImageHeightPixels")


def xmp_orientation(xmp: bytes | None) -> int | None:
    """Return the orientation that a packet states, 1 to 8, or none."""
    found = _ORIENTATION.search(xmp) if xmp else None
    value = int(found.group(2)) if found else 0
    return value if value in range(1, 9) else None


def turn_xmp_upright(xmp: bytes | None) -> bytes | None:
    """Return a packet with orientation 1, if it states one, and of this picture alone."""
    return _ORIENTATION.sub(rb"\g<1>1", remove_parts(xmp) or b"") if xmp else None


def resize_xmp(xmp: bytes | None, width: int, height: int) -> bytes | None:
    """Return a packet whose sizes in pixels, where it has them, are those of an image."""
    if not xmp:
        return None
    sized = _WIDTH.sub(rb"\g<1>%d" % width, xmp)
    sized = _HEIGHT.sub(rb"\g<1>%d" % height, sized)
    if _REGIONS.search(sized):
        sized = _REGIONS_WIDTH.sub(rb"\g<1>%d" % width, sized)
        sized = _REGIONS_HEIGHT.sub(rb"\g<1>%d" % height, sized)
    sized = _grow(sized, _PANORAMA_WIDTH, _PANORAMA_IMAGE_WIDTH, width)
    return _grow(sized, _PANORAMA_HEIGHT, _PANORAMA_IMAGE_HEIGHT, height)


def _grow(xmp: bytes, lengths: re.Pattern[bytes], image: re.Pattern[bytes], length: int) -> bytes:
    """Return a packet with lengths in proportion to that of the image, which it states too."""
    found = image.search(xmp)
    before = int(found.group(2)) if found else 0
    if not before:
        return xmp

    def scale(match: re.Match[bytes]) -> bytes:
        return b"%s%d" % (match.group(1), round(int(match.group(2)) * length / before))

    return lengths.sub(scale, xmp)
