"""A raster: pixels as they lie in a file, and what a file says about them.

Files become rasters, rasters become larger rasters, rasters become files. Nothing in between
knows about formats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import ImageError

__all__ = [
    "DTYPES",
    "Metadata",
    "Pixels",
    "Raster",
    "check_pixels",
    "clip_rounding",
    "to_eight_bit",
    "to_sixteen_bit",
]

Pixels = NDArray[Any]
"""``[H, W, C]``: grey, grey and alpha, RGB, or RGBA. Alpha is straight, not premultiplied."""

DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))
"""Depths: integers over their full range, floats in [0, 1]."""

_BAND = 64
"""Rows."""

_ROUNDING = 1e-5
"""Excess over [0, 1] of floats that programs computed from values inside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """Metadata that has to survive; all of it as it lies in files."""

    icc_profile: bytes | None = None
    """Profile of the pixels as they are: RGB or grey; None if the file has none that fits."""
    exif: bytes | None = None
    """A TIFF block as Pillow writes it, upright: without orientation and thumbnail."""
    xmp: bytes | None = None
    """An XML packet, without orientation."""
    dpi: tuple[float, float] | None = None
    """Dots per inch, across and down; kept as it is, so prints grow with the image."""
    iptc: bytes | None = None
    """IPTC data sets: captions and credits of press photos."""
    comment: bytes | None = None
    """Comment of a JPEG file."""
    png_colour: tuple[tuple[bytes, bytes], ...] = ()
    """Names and contents of a PNG file's chunks that say its colours beside an ICC profile."""
    png_text: tuple[tuple[bytes, bytes], ...] = ()
    """Names and contents of a PNG file's chunks with words: titles, or how a picture was made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Raster:
    """An image, upright."""

    pixels: Pixels
    """``[H, W, C]`` with C of 1 to 4, in one of :data:`DTYPES`."""
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


def check_pixels(pixels: Pixels) -> None:
    """Refuse what is no :data:`Pixels`.

    Raises:
        ImageError: another dtype or shape, no pixels, or floats that leave [0, 1].
    """
    if pixels.dtype not in DTYPES or pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4:
        raise ImageError(
            "expected pixels [H, W, 1 to 4] in uint8, uint16 or float32, "
            f"found {list(pixels.shape)} in {pixels.dtype}"
        )
    if pixels.size == 0:
        raise ImageError(f"expected an image of at least 1×1 pixels, found {list(pixels.shape)}")
    if pixels.dtype == np.float32:
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= 0.0 and high <= 1.0):  # NaN is in no range
            raise ImageError(
                f"expected float pixels in [0, 1], found {low:.9g} to {high:.9g}: scale or "
                "tone-map them to that range first"
            )


def clip_rounding(pixels: Pixels) -> Pixels:
    """Return floats that leave [0, 1] by rounding alone inside it; all other pixels as they are."""
    if pixels.dtype != np.float32 or pixels.size == 0:
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    inside = low >= 0.0 and high <= 1.0
    near = low >= -_ROUNDING and high <= 1.0 + _ROUNDING
    return pixels.clip(0.0, 1.0) if near and not inside else pixels


def to_eight_bit(pixels: Pixels) -> Pixels:
    """Return pixels as uint8, each rounded to the nearest value."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return _convert_by_bands(
            pixels, np.uint8, lambda band: (band.astype(np.uint32) + 128) // 257
        )
    return _convert_by_bands(
        pixels, np.uint8, lambda band: band * np.float32(255) + np.float32(0.5)
    )


def to_sixteen_bit(pixels: Pixels) -> Pixels:
    """Return float pixels as uint16, each rounded to the nearest value."""
    return _convert_by_bands(
        pixels, np.uint16, lambda band: band * np.float32(65535) + np.float32(0.5)
    )


def _convert_by_bands(pixels: Pixels, dtype: type, convert: Callable[[Pixels], Pixels]) -> Pixels:
    """Convert some rows at a time, so that what is between is never as large as the image."""
    result: Pixels = np.empty(pixels.shape, dtype)
    for top in range(0, len(pixels), _BAND):
        result[top : top + _BAND] = convert(pixels[top : top + _BAND])
    return result
