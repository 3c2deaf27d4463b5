"""JPEG XL files to rasters, by libjxl in pillow-jxl-plugin.

Its decoder decodes all before it tells a size, so the header is read here first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinysr.errors import ImageError, require

from ..metadata import describe_parts, turn_upright
from ..metadata.exif import resolution_of
from ..raster import Metadata, Raster
from .avif import UPRIGHT, chunks_for_colours
from .boxes import Box, boxes_of
from .heif_items import Contents
from .jxl_boxes import codes_of
from .jxl_header import ALPHA, BLACK, CODES, GREY, JxlHeader, read_header
from .limits import MOST_METADATA, Accept, Header, check_header, refuse_premultiplied
from .packages import load_package
from .vips_read import read_by_vips

__all__ = ["read_jxl"]

_PACKED = b"brob"
_EXIF, _XMP, _GAIN_MAP = b"Exif", b"xml ", b"jhgm"
_JPEG = b"jbrd"
"""Box with what a JPEG file had beside its picture, from which it is made again."""

_PLACE = 4
"""Bytes before EXIF data that say where it begins."""

_CONTRADICTION = "the image is damaged: its headers contradict each other"

_MOST_HEADER = 2**18
"""Bytes of a codestream that hold its header, with the names of all channels."""


def read_jxl(data: bytes, most: float, accept: Accept) -> tuple[Raster, tuple[str, ...]]:
    """Decode a file; see :func:`tinysr.runtime.files.decode`.

    A JPEG file that was packed without loss is made again, and read as such. The codestream's own
    orientation is applied by libjxl; that of the EXIF data says the same again and is not.

    Returns:
        the image, and what of the file is not in it.
    """
    boxes = [] if data.startswith(CODES) else list(boxes_of(data))
    header = _read_header(data, boxes)
    channels = (1 if header.colours.space == GREY else 3) + _has_alpha(header)
    dtype = np.dtype(np.float32 if header.floats else np.uint8 if header.bits <= 8 else np.uint16)
    stated = Header(
        width=header.width,
        height=header.height,
        channels=channels,
        value_bytes=dtype.itemsize,
        format="jxl",
    )
    check_header(stated, most)
    accept(stated)
    _check_kind(header)
    found = _decode(data)
    if found.jpeg:
        raster, notes = read_by_vips(found.pixels, "jpg", most, accept)
        if sorted(raster.size) != sorted((header.width, header.height)):
            raise ImageError(_CONTRADICTION)
        return raster, notes
    height, width = (header.height, header.width)
    if header.orientation > 4:
        height, width = width, height
    if len(found.pixels) != height * width * channels * dtype.itemsize:
        raise ImageError(_CONTRADICTION)
    pixels = np.frombuffer(found.pixels, dtype).reshape(height, width, channels)
    exif, xmp = _find_packet(boxes, _EXIF), _find_packet(boxes, _XMP)
    exif = exif[_PLACE + int.from_bytes(exif[:_PLACE], "big") :] if exif else None
    numbers = header.colours.numbers
    metadata = Metadata(
        icc_profile=found.profile if numbers is None else None,
        exif=exif,
        xmp=xmp,
        dpi=resolution_of(exif),
        png_colour=() if numbers is None else chunks_for_colours(Contents(colours=numbers)),
    )
    parts = (f"its {part} is left out" for part in describe_parts(xmp))
    notes = (*_describe_missing(header, boxes), *parts)
    return turn_upright(pixels, metadata, UPRIGHT), notes


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """Result of libjxl for a file."""

    jpeg: bool
    """Whether ``pixels`` are a JPEG file."""
    pixels: bytes
    profile: bytes


def _decode(data: bytes) -> _Found:
    library = load_package("jxl")
    try:
        jpeg, _, pixels, profile, _ = library.Decoder()(data)
    except Exception as error:  # it tells no more of what is wrong
        raise ImageError("the image is damaged: libjxl can't decode it") from error
    return _Found(jpeg=jpeg, pixels=pixels, profile=profile)


def _read_header(data: bytes, boxes: list[Box]) -> JxlHeader:
    codes = codes_of(boxes, _MOST_HEADER) if boxes else data
    codes = codes[:_MOST_HEADER]
    try:
        return read_header(codes)
    except ValueError as error:
        raise ImageError(f"the image is damaged: {error}") from error


def _check_kind(header: JxlHeader) -> None:
    """Refuse what would not come out as what it is.

    Raises:
        ImageError: an animation, or colours or values that are not read.
    """
    if header.animated:
        raise ImageError(
            "expected one still image, found an animation in JPEG XL: save each of its frames as "
            "a file of its own"
        )
    if any(extra.kind == BLACK for extra in header.extras):
        raise _describe_unsupported("JPEG XL in CMYK")
    if header.colours.space > GREY:
        raise _describe_unsupported(f"JPEG XL in colours of kind {header.colours.space}")
    if any(extra.premultiplied for extra in header.extras):
        refuse_premultiplied()
    grey = header.colours.space == GREY
    if header.floats and (header.bits != 32 or not grey):
        raise _describe_unsupported(f"JPEG XL in {header.bits}-bit floats")
    if header.bits > 16 and not header.floats:
        raise _describe_unsupported(f"JPEG XL in {header.bits}-bit integers")
    if header.bits > 8 and not grey:
        raise _describe_unsupported(f"JPEG XL in colours of {header.bits}-bit values")


def _describe_unsupported(what: str) -> ImageError:
    return ImageError(f"{what} is not supported: convert it to TIFF first")


def _has_alpha(header: JxlHeader) -> bool:
    return any(extra.kind == ALPHA for extra in header.extras)


def _describe_missing(header: JxlHeader, boxes: list[Box]) -> list[str]:
    """Return notes on what of a file is not read."""
    notes = []
    left = len(header.extras) - _has_alpha(header)
    if left:
        notes.append(
            f"{left} channel{'s' * (left > 1)} left out that {'are' if left > 1 else 'is'} neither "
            "colour nor opacity, such as a saved selection"
        )
    if header.absolute and header.colours.profile:
        notes.append("its profile is left out: lossy JPEG XL with one is read as sRGB")
    if any(box.kind == _GAIN_MAP for box in boxes):
        notes.append("its gain map is left out")
    return notes


def _find_packet(boxes: list[Box], kind: bytes) -> bytes | None:
    """Return the first box of a kind, inflated; none if it is damaged or larger than any is."""
    for box in boxes:
        if box.kind == kind:
            return box.body if box.end - box.start <= MOST_METADATA else None
        if box.kind == _PACKED and box.data[box.start : box.start + 4] == kind:
            return _inflate(box.body[4:])
    return None


def _inflate(packed: bytes) -> bytes | None:
    brotli: Any = require("brotli", extra="jxl")
    stream = brotli.Decompressor()
    try:
        found = stream.process(packed, output_buffer_limit=MOST_METADATA)
    except brotli.error:
        return None
    return bytes(found) if stream.is_finished() and len(found) <= MOST_METADATA else None
