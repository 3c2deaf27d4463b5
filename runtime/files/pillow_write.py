"""Rasters to JPEG, WebP and AVIF files, by Pillow, which writes metadata as it is given it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, BinaryIO

from PIL import Image

from ..metadata.exif import ORIENTATION, with_resolution
from ..metadata.exif_entries import remove_entry
from ..pillow import pil_from_raster
from ..raster import Raster, to_eight_bit
from .jpeg_packets import segments_of
from .png_packets import comment_of_texts

__all__ = ["exif_with_resolution", "write_avif", "write_jpeg", "write_webp"]

_MOST_DENSITY = 65_535
"""Dots per inch that fit the header of a JPEG file."""


def write_jpeg(raster: Raster, file: BinaryIO) -> None:
    """Write 8 bits at quality 95, with colours in full resolution; opacity is 1 everywhere.

    Raises:
        OSError: the file can't be written.
    """
    found = raster.metadata
    comment = found.comment or comment_of_texts(found.png_text)
    extra = b"".join(segments_of(found.xmp, found.iptc, comment))
    plain = Raster(pixels=_drop_opacity(raster).pixels, metadata=replace(found, xmp=None))
    _save(plain, file, "JPEG", quality=95, subsampling=0, extra=extra)


def write_webp(raster: Raster, file: BinaryIO) -> None:
    """Write 8 bits at quality 95; the resolution goes into EXIF data, its only place.

    Raises:
        OSError: the file can't be written.
    """
    _save(raster, file, "WEBP", quality=95, method=4, exif=exif_with_resolution(raster))


def write_avif(raster: Raster, file: BinaryIO) -> None:
    """Write 8 bits at quality 90, with colours in full resolution; the rest is as in WebP files.

    Raises:
        OSError: the file can't be written.
    """
    exif = exif_with_resolution(raster)
    # All of them: damaged data may have several, and libavif turns the image by any that it finds.
    while exif is not None and (rest := remove_entry(exif, ORIENTATION)) != exif:
        exif = rest
    whole = None if exif is None else _WholeExif(exif)
    sampling = "4:0:0" if raster.pixels.shape[2] == 1 else "4:4:4"
    _save(raster, file, "AVIF", quality=90, subsampling=sampling, exif=whole)


class _WholeExif(Image.Exif):
    """EXIF data that Pillow writes as it is.

    Given bytes it would read them to take out the orientation, warn of damaged entries on standard
    error, and move all values.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._whole = data

    def __bool__(self) -> bool:
        return True  # Pillow leaves out what is empty, as this is to it

    def tobytes(self, offset: int = 8) -> bytes:
        """Return the data."""
        return self._whole


def exif_with_resolution(raster: Raster) -> bytes | None:
    """Return EXIF data with the resolution, for formats in which that is its only place."""
    found = raster.metadata
    return found.exif if found.dpi is None else with_resolution(found.exif, found.dpi)


def _save(raster: Raster, file: BinaryIO, kind: str, **options: Any) -> None:
    found = raster.metadata
    packets: dict[str, Any] = {
        "icc_profile": found.icc_profile,
        "exif": found.exif,
        "xmp": found.xmp,
    }
    if found.dpi is not None and max(found.dpi) <= _MOST_DENSITY:
        packets["dpi"] = found.dpi
    extras = {key: value for key, value in {**packets, **options}.items() if value is not None}
    image = pil_from_raster(Raster(pixels=to_eight_bit(raster.pixels)))
    image.save(file, format=kind, **extras)


def _drop_opacity(raster: Raster) -> Raster:
    """Return a raster without its opacity, which is 1 everywhere."""
    pixels = raster.pixels
    if pixels.shape[2] in (1, 3):
        return raster
    return Raster(pixels=pixels[..., :-1], metadata=raster.metadata)
