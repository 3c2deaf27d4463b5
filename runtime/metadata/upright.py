"""Pixels and what a file says about them to a raster: upright, and only what fits."""

from __future__ import annotations

import math

import numpy as np

from ..raster import Metadata, Pixels, Raster, check_pixels
from .exif import orientation_of, resize_exif, turn_exif_upright
from .icc import fit_profile
from .xmp import resize_xmp, turn_xmp_upright, xmp_orientation

__all__ = ["resize_metadata", "turn_upright"]

_TRANSPOSED = {5, 6, 7, 8}
_DPI_RANGE = (1e-2, 1e6)


def turn_upright(pixels: Pixels, metadata: Metadata, orientation: int | None = None) -> Raster:
    """Apply the orientation, and drop metadata that is damaged or fits other pixels.

    Args:
        pixels: as they lie in the file.
        metadata: as it lies in the file.
        orientation: 1 to 8; if none is given, that of the EXIF data, else that of the XMP packet.

    Raises:
        ImageError: these are not pixels.
    """
    check_pixels(pixels)
    exif, xmp = metadata.exif or None, metadata.xmp or None
    orientation = orientation or orientation_of(exif) or xmp_orientation(xmp) or 1
    return Raster(
        pixels=turn(pixels, orientation),
        metadata=Metadata(
            icc_profile=fit_profile(metadata.icc_profile, pixels.shape[2]),
            exif=turn_exif_upright(exif),
            xmp=turn_xmp_upright(xmp),
            dpi=_keep_plausible(metadata.dpi, transposed=orientation in _TRANSPOSED),
            iptc=metadata.iptc,
            comment=metadata.comment,
            png_colour=metadata.png_colour,
            png_text=metadata.png_text,
        ),
    )


def resize_metadata(raster: Raster) -> Metadata:
    """Return a raster's metadata as it is to be written: with the raster's own size."""
    found, channels = raster.metadata, raster.pixels.shape[2]
    return Metadata(
        icc_profile=fit_profile(found.icc_profile, channels),
        exif=resize_exif(found.exif, *raster.size),
        xmp=resize_xmp(found.xmp, *raster.size),
        dpi=_keep_plausible(found.dpi),
        iptc=found.iptc,
        comment=found.comment,
        png_colour=found.png_colour,
        png_text=found.png_text,
    )


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Return pixels ``[H, W, C]`` as EXIF's orientation, 1 to 8, wants them shown."""
    if orientation in _TRANSPOSED:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _keep_plausible(
    dpi: tuple[float, float] | None, *, transposed: bool = False
) -> tuple[float, float] | None:
    if dpi is None or not all(
        math.isfinite(value) and _DPI_RANGE[0] <= value <= _DPI_RANGE[1] for value in dpi
    ):
        return None
    return (dpi[1], dpi[0]) if transposed else dpi
