"""Netpbm's files (PBM, PGM and PPM, of numbers and of bytes) to rasters."""

from __future__ import annotations

import re

import numpy as np

from tinysr.errors import ImageError

from ..raster import Pixels, Raster
from .limits import Accept, Header, check_header

__all__ = ["read_netpbm"]

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_MOST_DIGITS = 10
_NUMBER = rb"(\d{1,%d})" % _MOST_DIGITS
_BITMAP = re.compile(rb"P([14])" + 2 * (_GAP + _NUMBER) + rb"\s")
_PIXMAP = re.compile(rb"P([2356])" + 3 * (_GAP + _NUMBER) + rb"\s")
_COMMENT = re.compile(rb"#[^\r\n]*")

_MOST_VALUE = 65_535
_SHORT = "the image is damaged: the file is truncated"


def read_netpbm(data: bytes, most: float, accept: Accept) -> Raster:
    """Decode a file; see :func:`tinysr.runtime.files.decode`.

    Values are scaled from the file's own maximum to 8 bits, or to 16 if it is more than 255.
    Source: the manual pages pbm(5), pgm(5) and ppm(5).
    """
    bitmap = _BITMAP.match(data)
    found = bitmap or _PIXMAP.match(data)
    if found is None:
        raise ImageError("the image is damaged: its header has no size")
    kind, width, height = (int(word) for word in found.groups()[:3])
    top = 1 if bitmap else int(found.group(4))
    if not 0 < top <= _MOST_VALUE:
        raise ImageError(f"the image is damaged: expected a maximum of 1 to 65535, found {top}")
    header = Header(
        width=width,
        height=height,
        channels=3 if kind in (3, 6) else 1,
        value_bytes=1 if top < 256 else 2,
        format="netpbm",
    )
    check_header(header, most)
    accept(header)
    if kind < 4:
        values = _read_numbers(data[found.end() :], header, digits=bitmap is not None)
    elif bitmap:
        values = _read_bits(data, found.end(), header)
    else:
        values = _read_bytes(data, found.end(), header)
    if bitmap:
        values = 1 - values  # 1 is black
    return Raster(pixels=_scale(values.reshape(height, width, header.channels), top))


def _read_numbers(data: bytes, header: Header, *, digits: bool) -> Pixels:
    """Return values that are written as text; of bitmaps each digit is one."""
    count = header.width * header.height * header.channels
    text = _COMMENT.sub(b" ", data)
    if digits:
        text = b"".join(text.split())
        if len(text) < count:
            raise ImageError(_SHORT)
        values = np.frombuffer(text[:count], np.uint8).astype(np.int64) - ord("0")
    else:
        words = text.split(maxsplit=count)[:count]
        if len(words) < count:
            raise ImageError(_SHORT)
        if not all(word.isdigit() and len(word) <= _MOST_DIGITS for word in words):
            raise ImageError("the image is damaged: its values are not all numbers")
        values = np.array([int(word) for word in words], np.int64)
    if digits and ((values < 0) | (values > 1)).any():
        raise ImageError("the image is damaged: its values are not all 0 or 1")
    return values


def _read_bits(data: bytes, at: int, header: Header) -> Pixels:
    row = (header.width + 7) // 8
    if len(data) - at < row * header.height:
        raise ImageError(_SHORT)
    packed = np.frombuffer(data, np.uint8, row * header.height, at).reshape(header.height, row)
    return np.unpackbits(packed, axis=1, count=header.width)


def _read_bytes(data: bytes, at: int, header: Header) -> Pixels:
    kind = np.dtype(np.uint8 if header.value_bytes == 1 else ">u2")
    count = header.width * header.height * header.channels
    if len(data) - at < count * kind.itemsize:
        raise ImageError(_SHORT)
    return np.frombuffer(data, kind, count, at)


def _scale(values: Pixels, top: int) -> Pixels:
    """Return values from 0 to a maximum over the whole range of 8 or 16 bits."""
    if values.size and int(values.max()) > top:
        raise ImageError(
            f"the image is damaged: expected values of at most {top}, found {int(values.max())}"
        )
    full, kind = (255, np.uint8) if top < 256 else (_MOST_VALUE, np.uint16)
    if top == full:
        return np.ascontiguousarray(values.astype(kind))
    scale = np.arange(top + 1, dtype=np.uint32) * full
    return ((scale + top // 2) // top).astype(kind)[values]
