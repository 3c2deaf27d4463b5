"""libvips, set up for images from strangers: arrays to its images and back, and CMYK to RGB."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinysr.errors import ImageError, OutOfMemoryError, TinySRError

from .exhaustion import is_exhaustion
from .raster import Pixels

os.environ.setdefault("VIPS_WARNING", "0")  # silences libvips once pyvips no longer listens

import pyvips

__all__ = [
    "damage",
    "image_from_pixels",
    "pixels_from_image",
    "pyvips",
    "srgb_from_cmyk",
    "take_warnings",
    "use_vips",
]

# What matters is raised. Warnings would go to stderr, past whoever reads one line there: pyvips
# logs them, and stumbles over those that quote bytes of the file that are no UTF-8.
pyvips._remove_log_handler()
logging.getLogger("pyvips").addHandler(logging.NullHandler())

# Remembered operations would keep the files and pixels they were called with alive.
pyvips.cache_set_max(0)

_FORMATS = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
_DTYPES = {name: dtype for dtype, name in _FORMATS.items()}
_GREYS = {"uint8": "b-w", "uint16": "grey16", "float32": "b-w"}
_COLOURS = {"uint8": "srgb", "uint16": "rgb16", "float32": "srgb"}
_MOST_WORDS = 200
"""Characters of an error message that are repeated."""


_ONE_CALLER = threading.RLock()


@contextmanager
def use_vips() -> Iterator[None]:
    """Have libvips to oneself, and its errors with it.

    The buffer that libvips collects the words of errors in is the process's. A decoder leaves
    warnings there for files that it reads nevertheless, and pyvips would quote them with the next
    error, whoever's that is. So the buffer is emptied before and after, and calls take turns: all
    of them, since even an image that is made of pixels in another thread can cost the words.
    """
    with _ONE_CALLER:
        pyvips.vips_lib.vips_error_clear()
        try:
            yield
        except UnicodeDecodeError as error:  # of words that quote the file, as pyvips reads them
            raise _blame(take_warnings(), error) from error
        finally:
            pyvips.vips_lib.vips_error_clear()


def take_warnings() -> str:
    """Return what decoders had to say, since :func:`use_vips` began, of what they read."""
    words: bytes = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer())
    return words.decode("ascii", "replace")


def image_from_pixels(pixels: Pixels, interpretation: str | None = None) -> Any:
    """Return pixels as a libvips image that reads them where they lie.

    Args:
        pixels: ``[H, W, C]``, contiguous, in one of :data:`~tinysr.runtime.raster.DTYPES`.
        interpretation: libvips's name of the colour space; grey or RGB by default.
    """
    height, width, channels = pixels.shape
    kind = str(pixels.dtype)
    image = pyvips.Image.new_from_memory(pixels, width, height, channels, _FORMATS[kind])
    names = _GREYS if channels <= 2 else _COLOURS
    return image.copy(interpretation=interpretation or names[kind])


def pixels_from_image(image: Any) -> Pixels:
    """Compute a libvips image.

    Raises:
        ImageError: its values are of a kind that is not read, or it is damaged.
    """
    if image.format == "double":
        image = image.cast("float")
    if image.format not in _DTYPES:
        raise ImageError(f"expected values of 8 or 16 bits or floats, found {image.format}")
    try:
        memory = image.write_to_memory()
    except pyvips.Error as error:
        raise damage(error) from error
    shape = (image.height, image.width, image.bands)
    return np.frombuffer(memory, _DTYPES[image.format]).reshape(shape)


def srgb_from_cmyk(image: Any) -> Any:
    """Return a CMYK image in sRGB, with sRGB's profile: as it prints, as editors show it.

    Relative colorimetric with black point compensation, through the profile in its field
    "icc-profile-data". Where that is missing or none for CMYK, libvips's own one stands for it.
    """
    try:
        return image.icc_transform(
            "srgb",
            embedded=True,
            input_profile="cmyk",
            intent="relative",
            black_point_compensation=True,
            depth=16 if image.format == "ushort" else 8,
        )
    except pyvips.Error as error:
        raise damage(error) from error


def damage(error: Any) -> TinySRError:
    """Return libvips's words in one line, which are of damage or of a lack of memory."""
    return _blame(error.detail, error)


def _blame(detail: str, error: Exception) -> TinySRError:
    if is_exhaustion(error):
        return OutOfMemoryError("libvips could not allocate what the image takes")
    lines = dict.fromkeys(line.strip() for line in detail.splitlines())
    words = ascii("; ".join(line for line in lines if line))[1:-1] or "it can't be decoded"
    return ImageError(f"the image is damaged: {words[:_MOST_WORDS]}")
