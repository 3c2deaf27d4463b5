"""Pillow images to rasters and back, in the same mode where a raster has one."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tinysr.errors import ImageError

from .metadata import resize_metadata, turn_upright
from .raster import Metadata, Pixels, Raster, to_eight_bit

__all__ = ["pil_from_raster", "raster_from_pil"]

_DEEP = {"I;16", "I;16L", "I;16B", "I;16N"}
_TARGETS = {"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}
"""Modes that are converted, and to what; those not here become RGB."""

_ORIENTATION = 274

_KEPT = {"L", "LA", "RGB", "RGBA"}


def raster_from_pil(image: Image.Image) -> Raster:
    """Return a Pillow image's pixels, upright, with its metadata.

    Raises:
        ImageError: no pixels, damaged, or values out of range.
    """
    try:
        image.load()
        orientation = image.getexif().get(_ORIENTATION)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"the image is damaged: {' '.join(str(error).split())}") from error
    info = image.info
    profile = info.get("icc_profile") or None
    if image.mode == "CMYK":
        pixels, profile = _from_cmyk(image, profile)
    else:
        pixels = _pixels(image)
    dpi = info.get("dpi")
    metadata = Metadata(
        icc_profile=profile,
        exif=info.get("exif") or None,
        xmp=info.get("xmp") or None,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi else None,
    )
    return turn_upright(pixels, metadata, orientation if orientation in range(1, 9) else None)


def pil_from_raster(raster: Raster, mode: str | None = None) -> Image.Image:
    """Return a raster as a Pillow image, with its metadata in ``info``.

    uint8 becomes L, LA, RGB or RGBA; grey alone becomes I;16 and F in uint16 and float32, and
    all else that is deep is rounded to 8 bits, because Pillow has no mode for it.

    Args:
        raster: the image.
        mode: one that the image is converted to.
    """
    pixels = raster.pixels
    channels = pixels.shape[2]
    if channels > 1 and pixels.dtype != np.uint8:
        pixels = to_eight_bit(pixels)
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if channels == 1 else pixels))
    if mode is not None and image.mode != mode:
        image = image.convert(mode)
    metadata = resize_metadata(raster)
    for key in ("icc_profile", "exif", "xmp", "dpi"):
        value = getattr(metadata, key)
        if value is not None:
            image.info[key] = value
    return image


def _pixels(image: Image.Image) -> Pixels:
    if image.mode in _DEEP:
        return np.asarray(image).astype(np.uint16)[..., None]
    if image.mode == "I":
        values = np.asarray(image)
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise ImageError(f"expected grey values from 0 to 65535, found {low} to {high}")
        return values.astype(np.uint16)[..., None]
    if image.mode == "F":
        return np.asarray(image, np.float32)[..., None]
    target = image.mode if image.mode in _KEPT else _TARGETS.get(image.mode, "RGB")
    if "transparency" in image.info:
        target = "LA" if target == "L" else "RGBA"
    try:
        pixels = np.asarray(image if target == image.mode else image.convert(target))
    except ValueError as error:
        raise ImageError(f"expected an image that converts to RGB, found {image.mode}") from error
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _from_cmyk(image: Image.Image, profile: bytes | None) -> tuple[Pixels, bytes | None]:
    from . import vips  # noqa: PLC0415  (few images are CMYK)

    with vips.use_vips():
        ink = vips.image_from_pixels(np.asarray(image), "cmyk")
        if profile is not None:
            ink.set_type(vips.pyvips.GValue.blob_type, "icc-profile-data", profile)
        found = vips.srgb_from_cmyk(ink)
        return vips.pixels_from_image(found), bytes(found.get("icc-profile-data"))
