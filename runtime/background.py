"""Backgrounds: one colour behind an image with transparency, for formats that hold none."""

from __future__ import annotations

import numpy as np
from PIL import ImageColor

from tinysr.errors import UnsupportedError

from .raster import Pixels, Raster

__all__ = ["Colour", "has_transparency", "parse_colour", "put_on_background"]

Colour = tuple[int, int, int]
"""Red, green and blue from 0 to 255."""

_OPAQUE = 255
_BAND = 64
"""Rows that are blended at a time."""


def parse_colour(text: str) -> Colour:
    """Return a colour by a name of CSS such as white, or as #rrggbb or rgb(255, 0, 0).

    Raises:
        UnsupportedError: it is none, or is transparent itself.
    """
    try:
        red, green, blue, *alpha = ImageColor.getrgb(text.strip())
    except ValueError:
        raise UnsupportedError(
            f"background '{text}': expected a colour such as white, black, '#336699' or "
            "'rgb(51, 102, 153)'"
        ) from None
    if alpha and alpha[0] != _OPAQUE:
        raise UnsupportedError(f"background '{text}': expected a colour without transparency")
    return red, green, blue


def has_transparency(pixels: Pixels) -> bool:
    """Tell whether anything in ``[H, W, C]`` is not opaque."""
    if pixels.shape[2] in (1, 3):
        return False
    return bool((pixels[..., -1] != _white(pixels)).any())


def put_on_background(raster: Raster, colour: Colour) -> Raster:
    """Return an opaque image: what is transparent shows the colour, as viewers blend it.

    The values are blended as they are, gamma-encoded and in the space of the image's own profile.
    Grey images stay grey where the colour is grey.
    """
    pixels = raster.pixels
    if pixels.shape[2] in (1, 3):
        return raster
    grey = pixels.shape[2] == 2
    if grey and len({*colour}) > 1:
        pixels, grey = pixels[..., [0, 0, 0, 1]], False
    behind = np.array(colour[:1] if grey else colour, np.float32) / np.float32(_OPAQUE)
    return Raster(pixels=_blend(pixels, behind), metadata=raster.metadata)


def _blend(pixels: Pixels, behind: Pixels) -> Pixels:
    white = np.float32(_white(pixels))
    rounding = np.float32(0 if pixels.dtype == np.float32 else 0.5)  # the cast rounds down
    result: Pixels = np.empty((*pixels.shape[:2], pixels.shape[2] - 1), pixels.dtype)
    for top in range(0, len(pixels), _BAND):
        band = pixels[top : top + _BAND].astype(np.float32)
        share = band[..., -1:] / white
        seen = band[..., :-1] * share + behind * white * (1 - share)
        result[top : top + _BAND] = np.clip(seen + rounding, 0, white)
    return result


def _white(pixels: Pixels) -> int:
    return 1 if pixels.dtype == np.float32 else int(np.iinfo(pixels.dtype).max)
