"""Pixels: images of any kind to planes of RGB in [0, 1], and back to the kind they were."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tinysr.errors import ImageError

from .geometry import Planes

__all__ = ["Picture", "array_from_planes", "picture_from_pil", "planes_from_array"]

_SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N", "I"}
_WITH_ALPHA = {"LA", "PA", "RGBA", "La", "RGBa"}
_PROFILED = {"RGB", "RGBA", "P", "PA"}
"""Modes whose ICC profile still fits once the image is RGB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A Pillow image as the model takes it, and what has to be put back."""

    planes: Planes
    """``[3, H, W]``, RGB, [0, 1], upright."""
    alpha: Image.Image | None = None
    """In mode L, if the image had one."""
    info: dict[str, Any] = field(default_factory=dict)
    """The ICC profile and the EXIF data without its orientation."""

    def restored(self, planes: Planes) -> Image.Image:
        """Return the result ``[3, 4H, 4W]`` as an image; ``planes`` is overwritten.

        Transparency is enlarged bicubically and put back.
        """
        image = Image.fromarray(array_from_planes(planes, np.dtype(np.uint8)))
        if self.alpha is not None:
            image.putalpha(self.alpha.resize(image.size, Image.Resampling.BICUBIC))
        image.info.update(self.info)
        return image


def picture_from_pil(image: Image.Image) -> Picture:
    """Take a Pillow image apart.

    The EXIF orientation is applied. Palettes, grey and CMYK become RGB as Pillow converts them,
    without colour management. 16-bit grey ("I;16", or "I" within 0…65535) is scaled to 8 bit;
    "F" is taken to be in [0, 1]. The ICC profile is kept where it fits an RGB image.

    Raises:
        ImageError: the image has no pixels, can't be decoded, or has values out of range.
    """
    upright = decoded(image)
    info = {k: v for k, v in upright.info.items() if k == "exif"}
    if upright.mode in _PROFILED and "icc_profile" in upright.info:
        info["icc_profile"] = upright.info["icc_profile"]
    transparent = upright.mode in _WITH_ALPHA or "transparency" in upright.info
    if transparent and upright.mode not in _SIXTEEN_BIT:
        with_alpha = upright.convert("RGBA")
        alpha, rgb = with_alpha.getchannel("A"), with_alpha.convert("RGB")
    else:
        alpha, rgb = None, _rgb(upright)
    planes = planes_from_array(np.asarray(rgb))
    return Picture(planes=planes, alpha=alpha, info=info)


def planes_from_array(array: NDArray[Any]) -> Planes:
    """Return an image ``[H, W, 3]``, uint8 or float32 in [0, 1], as planes ``[3, H, W]``.

    Raises:
        ImageError: another dtype or shape, no pixels, or values out of range.
    """
    if array.dtype not in (np.uint8, np.float32) or array.ndim != 3 or array.shape[2] != 3:
        raise ImageError(
            "expected an array of RGB pixels, [H, W, 3] in uint8 or float32, "
            f"found {list(array.shape)} in {array.dtype}"
        )
    if array.size == 0:
        raise ImageError(f"expected an image of at least 1×1 pixels, found {list(array.shape)}")
    planes: Planes = np.array(array.transpose(2, 0, 1), np.float32, order="C")
    if array.dtype == np.uint8:
        planes /= np.float32(255)
        return planes
    low, high = float(planes.min()), float(planes.max())
    if not (low >= 0.0 and high <= 1.0):  # NaN is in no range
        raise ImageError(f"expected float pixels in [0, 1], found {low:g} to {high:g}")
    return planes


def array_from_planes(planes: Planes, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return planes ``[3, H, W]`` as ``[H, W, 3]``, clipped to the dtype's range.

    Args:
        planes: about [0, 1]; overwritten.
        dtype: uint8 (rounded to the nearest value) or float32.
    """
    result = np.empty((*planes.shape[1:], planes.shape[0]), dtype)
    if dtype == np.uint8:
        planes *= np.float32(255)
        planes += np.float32(0.5)  # what follows rounds down
    np.clip(planes, 0, 255 if dtype == np.uint8 else 1, out=planes)
    for channel, plane in enumerate(planes):
        result[..., channel] = plane
    return result


def decoded(image: Image.Image) -> Image.Image:
    """Decode an image and turn it upright.

    Raises:
        ImageError: it is truncated or damaged.
    """
    try:
        image.load()
        return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"the image can't be decoded: {' '.join(str(error).split())}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        grey = _eight_bit(np.asarray(image), 65535)
    elif image.mode == "F":
        grey = _eight_bit(np.asarray(image), 1)
    else:
        grey = image
    try:
        return grey.convert("RGB")
    except ValueError as error:
        raise ImageError(f"expected an image that converts to RGB, found {image.mode}") from error


def _eight_bit(values: NDArray[Any], white: int) -> Image.Image:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= white):
        raise ImageError(f"expected grey values from 0 to {white}, found {low:g} to {high:g}")
    return Image.fromarray((values * (255 / white) + 0.5).astype(np.uint8))
