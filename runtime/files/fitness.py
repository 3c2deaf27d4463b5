"""Whether a format can hold an image, apart from its size: asked when it is read, and again later.

An hour in the network is too long to learn that the result can't be written.
"""

from __future__ import annotations

from tinysr.errors import ImageError

from ..background import has_transparency
from ..raster import Raster

__all__ = ["check_holds"]

_MOST_EXIF = 65_533
_MOST_XMP = 65_504
"""Bytes that fit a segment of a JPEG file."""


def check_holds(file_format: str, raster: Raster) -> None:
    """Refuse what JPEG has no place for; the other formats hold every raster.

    Args:
        file_format: one of :data:`~tinysr.runtime.files.FORMATS`.
        raster: an image before or after it is enlarged: what is opaque stays so.

    Raises:
        ImageError: it has transparency, or metadata that no JPEG file holds.
    """
    if file_format != "jpg":
        return
    if has_transparency(raster.pixels):
        raise ImageError(
            "JPEG holds no transparency: write png, webp or tiff, or put a colour behind the image "
            "with --background white"
        )
    found = raster.metadata
    for name, packet, most in (("EXIF", found.exif, _MOST_EXIF), ("XMP", found.xmp, _MOST_XMP)):
        if packet is not None and len(packet) > most:
            raise ImageError(
                f"JPEG holds at most {most} bytes of {name} data, found {len(packet)}: "
                "write png, webp or tiff"
            )
