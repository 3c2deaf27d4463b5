"""Rasters to JPEG XL files, without loss, by libjxl in pillow-jxl-plugin.

It writes the codestream; the profile and the container with the metadata are put to it here.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from ..metadata.exif import PREFIX
from ..raster import Raster, to_eight_bit
from .boxes import boxes_of
from .jxl_boxes import codes_of
from .jxl_header import CODES
from .jxl_profile import put_profile
from .packages import load_package
from .pillow_write import exif_with_resolution

__all__ = ["write_jxl"]

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_EFFORT = 2
"""Files a fifth smaller than PNG, in half the time; more effort takes many times as long."""

_START = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "
_USUAL_SIDE, _USUAL_PIXELS, _USUAL_PROFILE = 2**18, 2**28, 2**22
"""Above these a file has to say that it is of level 10."""


def write_jxl(raster: Raster, file: BinaryIO) -> None:
    """Write 8 bits without loss; the resolution goes into EXIF data, its only place.

    Raises:
        OSError: the file can't be written.
    """
    found = raster.metadata
    codes, profile = _encode(raster), found.icc_profile
    if profile is not None:
        codes = put_profile(codes, profile)
    boxes = [(b"jxll", b"\x0a")] if _is_large(raster) else []
    exif = exif_with_resolution(raster)
    if exif is not None:
        boxes.append((b"Exif", bytes(4) + exif.removeprefix(PREFIX)))
    if found.xmp is not None:
        boxes.append((b"xml ", found.xmp))
    if boxes:
        file.write(_START)
        for kind, body in boxes:
            file.write((len(body) + 8).to_bytes(4, "big") + kind + body)
        file.write(bytes(4) + b"jxlc")  # to the file's end
    file.write(codes)


def _encode(raster: Raster) -> bytes:
    """Return the codestream of a raster's pixels."""
    width, height = raster.size
    pixels = np.ascontiguousarray(to_eight_bit(raster.pixels))
    encoder = load_package("jxl").Encoder(
        mode=_MODES[pixels.shape[2]],
        lossless=True,
        quality=100,
        effort=_EFFORT,
        use_original_profile=True,
    )
    try:
        data: bytes = encoder(pixels.tobytes(), width, height, jpeg_encode=False)
    except RuntimeError as error:
        raise OSError(" ".join(str(error).split())) from error
    if data.startswith(CODES):
        return data
    return codes_of(boxes_of(data))


def _is_large(raster: Raster) -> bool:
    width, height = raster.size
    profile = raster.metadata.icc_profile or b""
    return (
        max(width, height) > _USUAL_SIDE
        or width * height > _USUAL_PIXELS
        or len(profile) > _USUAL_PROFILE
    )
