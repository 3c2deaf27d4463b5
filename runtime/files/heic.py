"""HEIC files, as phones write them, to rasters, by pillow-heif with libheif."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from tinysr.errors import ImageError

from ..metadata import turn_upright
from ..metadata.exif import resolution_of
from ..raster import Metadata, Raster
from .avif import UPRIGHT, check_still, chunks_for_colours, fill_bits, grey_from_heif
from .heif_items import contents_of_heif
from .limits import MOST_METADATA, Accept, Header, check_header, check_page
from .packages import load_package
from .pillow_read import describe_damage

__all__ = ["count_heic", "read_heic"]

_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "I;16": 1, "LA;16": 2, "RGB;16": 3, "RGBA;16": 4}


def read_heic(
    data: bytes, most: float, accept: Accept, page: int | None = None
) -> tuple[Raster, tuple[str, ...]]:
    """Decode a file; see :func:`tinysr.runtime.files.decode`.

    10 and 12 bits become 16. The container's turns are applied by libheif, the EXIF data's are not.

    Returns:
        the image, and what of the file is not in it.
    """
    contents = contents_of_heif(data)
    check_still(contents)
    found, count, primary = _open(data)
    check_page(page, count, "pictures")
    image = found[primary if page is None else page - 1]
    if image.mode not in _CHANNELS:
        raise ImageError(f"expected grey or RGB in a HEIC photo, found {image.mode}")
    (width, height), channels = image.size, _CHANNELS[image.mode]
    deep = image.mode.endswith("16")
    header = Header(
        width=width,
        height=height,
        channels=channels,
        value_bytes=2 if deep else 1,
        format="heic",
    )
    check_header(header, most)
    accept(header)
    try:
        pixels = np.array(image).reshape(height, width, channels)
    except Exception as error:
        raise describe_damage(error) from error
    bits = int(image.info.get("bit_depth", 8))
    profile, exif, xmp = (_packet(image, key) for key in ("icc_profile", "exif", "xmp"))
    metadata = Metadata(
        icc_profile=profile,
        exif=exif,
        xmp=xmp,
        dpi=resolution_of(exif),
        png_colour=() if profile else chunks_for_colours(contents),
    )
    if channels < 3:
        pixels = grey_from_heif(pixels, bits, limited=contents.limited)
    else:
        pixels = fill_bits(pixels, bits)
    notes = tuple(f"its {part} is left out" for part in contents.parts)
    return turn_upright(pixels, metadata, UPRIGHT), notes


def count_heic(data: bytes) -> int:
    """Return how many pictures a file has.

    Raises:
        ImageError: damaged, an animation, or the package is missing.
    """
    check_still(contents_of_heif(data))
    return _open(data)[1]


def _open(data: bytes) -> tuple[Any, int, int]:
    """Return a file's pictures, not decoded yet, how many they are, and which is the first."""
    library = load_package("heic")
    try:
        found = library.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        count, primary = len(found), found.primary_index
    except Exception as error:  # it raises whatever a damaged header leads it to
        raise describe_damage(error) from error
    if not 0 <= primary < count:
        raise ImageError(f"the image is damaged: {count} pictures, and the main one is {primary}")
    return found, count, primary


def _packet(image: Any, key: str) -> bytes | None:
    found = image.info.get(key)
    return bytes(found) if found and len(found) <= MOST_METADATA else None
