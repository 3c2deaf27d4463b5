"""AVIF files to rasters, by libvips with libheif."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import AvifImagePlugin

from tinysr.errors import ImageError

from ..metadata import fit_profile, turn_upright
from ..metadata.exif import resolution_of
from ..pillow import raster_from_pil
from ..raster import Metadata, Pixels, Raster
from ..vips import damage, pixels_from_image, pyvips, use_vips
from .heif_items import Contents, contents_of_heif
from .limits import MOST_METADATA, Accept, Header, check_header, check_page, refuse_premultiplied
from .pillow_read import describe_damage

__all__ = [
    "UPRIGHT",
    "check_still",
    "chunks_for_colours",
    "count_avif",
    "fill_bits",
    "grey_from_heif",
    "read_avif",
]

UPRIGHT = 1
"""Orientation of what libheif has turned."""
_UNSAID, _BT709, _SRGB = 2, 1, 13
"""Numbers of ITU-T H.273: anything, and the primaries and curve of sRGB."""


def read_avif(
    data: bytes, most: float, accept: Accept, page: int | None = None
) -> tuple[Raster, tuple[str, ...]]:
    """Decode a file; see :func:`tinysr.runtime.files.decode`.

    10 and 12 bits become 16. The container's own turns and crops are applied by libheif; an
    orientation in the EXIF data says the same again and is not.

    Returns:
        the image, and what of the file is not in it.
    """
    contents = contents_of_heif(data)
    check_page(page, contents.frames, "frames")
    if contents.frames > 1:
        return _read_frame(data, contents, most, accept, page or 1), ()
    check_still(contents)
    with use_vips():
        try:
            image = pyvips.Operation.call(
                "heifload_buffer", data, access="sequential", fail_on="error"
            )
        except pyvips.Error as error:
            raise damage(error) from error
        header = Header(
            width=image.width,
            height=image.height,
            channels=image.bands,
            value_bytes=1 if image.format == "uchar" else 2,
            format="avif",
        )
        check_header(header, most)
        accept(header)
        notes = tuple(f"its {part} is left out" for part in contents.parts)
        metadata = Metadata(
            icc_profile=(profile := _packet(image, "icc-profile-data")),
            exif=(exif := _packet(image, "exif-data")),
            xmp=_packet(image, "xmp-data"),
            dpi=resolution_of(exif),
            png_colour=() if profile else chunks_for_colours(contents),
        )
        pixels = pixels_from_image(image)
        bits = image.get("bits-per-sample")
    if contents.grey:
        pixels = grey_from_heif(pixels, bits, limited=contents.limited)
    else:
        pixels = fill_bits(pixels, bits)
    return turn_upright(pixels, metadata, UPRIGHT), notes


def count_avif(data: bytes) -> int:
    """Return how many frames a file has."""
    return contents_of_heif(data).frames


def _read_frame(data: bytes, contents: Contents, most: float, accept: Accept, page: int) -> Raster:
    """Decode a frame of an animation by Pillow with libavif, which gives 8 bits alone.

    Raises:
        ImageError: damaged, refused, or deeper.
    """
    if contents.premultiplied:
        refuse_premultiplied()
    if contents.deep:
        raise ImageError(
            "frames of an AVIF animation with more than 8 bits are not read: save each as a file "
            "of its own"
        )
    try:
        image = AvifImagePlugin.AvifImageFile(io.BytesIO(data))
    except Exception as error:  # it raises whatever a damaged header leads it to
        raise describe_damage(error) from error
    channels = len(image.getbands())
    header = Header(width=image.width, height=image.height, channels=channels, format="avif")
    check_header(header, most)
    accept(header)
    try:
        image.seek(page - 1)
        found = raster_from_pil(image)
    except ImageError:
        raise
    except Exception as error:
        raise describe_damage(error) from error
    pixels = found.pixels
    if contents.grey and pixels.shape[2] > 2:
        pixels = np.ascontiguousarray(pixels[..., [0, *range(3, pixels.shape[2])]])
    profile = found.metadata.icc_profile
    colours = () if profile else chunks_for_colours(contents)
    metadata = replace(
        found.metadata,
        dpi=found.metadata.dpi or resolution_of(found.metadata.exif),
        icc_profile=fit_profile(profile, pixels.shape[2]),
        png_colour=colours,
    )
    return Raster(pixels=pixels, metadata=metadata)


def check_still(contents: Contents) -> None:
    """Refuse what is no picture.

    Raises:
        ImageError: it is an animation, or its colours are multiplied with its opacity.
    """
    if contents.frames > 1:
        raise ImageError(
            f"expected one still image, found {contents.frames} frames: save each as a file of its "
            "own"
        )
    if contents.premultiplied:
        refuse_premultiplied()


def chunks_for_colours(contents: Contents) -> tuple[tuple[bytes, bytes], ...]:
    """Return the chunks of a PNG file that say a picture's colours; none where they are sRGB's."""
    primaries, transfer = contents.colours or (_UNSAID, _UNSAID)
    primaries = _BT709 if primaries == _UNSAID else primaries
    transfer = _SRGB if transfer == _UNSAID else transfer
    if (primaries, transfer) == (_BT709, _SRGB) or max(primaries, transfer) > 255:
        return ()
    return ((b"cICP", bytes([primaries, transfer, 0, 1])),)


def fill_bits(pixels: Pixels, bits: int) -> Pixels:
    """Return values of 16 bits whose upper ones alone are used over their full range."""
    if pixels.dtype != np.uint16 or not 8 < bits < 16:
        return pixels
    most = 2**bits - 1
    values = (pixels >> (16 - bits)).astype(np.uint32)
    filled: Pixels = ((values * 65535 + most // 2) // most).astype(np.uint16)
    return filled


def grey_from_heif(pixels: Pixels, bits: int, *, limited: bool) -> Pixels:
    """Return grey pixels, which libheif may have given as RGB or RGBA.

    It leaves grey of a limited range in it. Opacity has the full range always.
    """
    grey, opacity = pixels[..., :1], pixels[..., 3:] if pixels.shape[2] > 2 else pixels[..., 1:]
    if limited:
        full, step = (255, 1) if pixels.dtype == np.uint8 else (65535, 256)
        share = (grey.astype(np.float32) - 16 * step) / (219 * step)
        grey = (share.clip(0, 1) * full + 0.5).astype(pixels.dtype)
    else:
        grey = fill_bits(grey, bits)
    return np.concatenate([grey, fill_bits(opacity, bits)], axis=2)


def _packet(image: Any, name: str) -> bytes | None:
    found = image.get(name) if image.get_typeof(name) else None
    return bytes(found) if found and len(found) <= MOST_METADATA else None
