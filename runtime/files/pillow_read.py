"""QOI and TGA files and icons to rasters, by Pillow.

The classes are used rather than ``Image.open``, whose own limit on sizes is a global variable.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

from PIL import IcoImagePlugin, Image, ImageFile, QoiImagePlugin, TgaImagePlugin

from tinysr.errors import ImageError

from ..pillow import raster_from_pil
from ..raster import Raster
from .limits import Accept, Header, check_header, refuse_premultiplied
from .vips_read import read_by_vips

__all__ = ["describe_damage", "is_tga", "open_by_pillow", "read_ico", "read_qoi",
           "read_tga"]  # fmt: skip

_TGA_END = b"TRUEVISION-XFILE.\0"
_TGA_DEPTHS = {1: {8}, 2: {16, 24, 32}, 3: {8, 16}}
"""Bits of pixels, by types of images: with a palette, with colours, grey."""
_NO_OPACITY, _PREMULTIPLIED = {0, 1, 2}, 4
"""Kinds of the fourth channel, as the extension of a file states them."""
_AT_KIND = 494

_PNG = b"\x89PNG\r\n\x1a\n"


def read_qoi(data: bytes, most: float, accept: Accept) -> Raster:
    """Decode a QOI file; see :func:`tinysr.runtime.files.decode`."""
    return _read(data, QoiImagePlugin.QoiImageFile, "qoi", most, accept)


def read_tga(data: bytes, most: float, accept: Accept) -> Raster:
    """Decode a TGA file; see :func:`tinysr.runtime.files.decode`.

    A channel that the file calls something else than opacity, or that is 0 everywhere, is none.
    Source: Truevision TGA, version 2.0, fields 5.6 and 24 of the extension.
    """
    kind = _read_tga_kind(data)
    if kind == _PREMULTIPLIED:
        refuse_premultiplied()
    found = _read(data, TgaImagePlugin.TgaImageFile, "tga", most, accept)
    pixels = found.pixels
    bits = data[17] & 15
    hidden = pixels.shape[2] in (2, 4) and not pixels[..., -1].any()
    if pixels.shape[2] == 4 and (kind in _NO_OPACITY or hidden or (data[16] == 16 and not bits)):
        return Raster(pixels=pixels[..., :3].copy(), metadata=found.metadata)
    return found


def read_ico(data: bytes, most: float, accept: Accept) -> Raster:
    """Decode the largest picture of an icon; see :func:`tinysr.runtime.files.decode`."""
    try:
        icon = IcoImagePlugin.IcoFile(io.BytesIO(data))
        entry = icon.entry[0]
    except Exception as error:  # it raises whatever a damaged header leads it to
        raise describe_damage(error) from error
    part = data[entry.offset : entry.offset + entry.size]
    if part.startswith(_PNG) and len(part) == entry.size:
        return read_by_vips(part, "png", most, accept)[0]
    if len(part) < max(16, entry.size):
        raise ImageError("the image is damaged: the file is truncated")
    width, height, _, bits = struct.unpack_from("<iiHH", part, 4)
    if (width, height) != (entry.width, 2 * entry.height):
        raise ImageError(
            f"the image is damaged: expected {entry.width}×{entry.height} pixels in the icon, "
            f"found {width}×{height // 2}"
        )
    header = Header(width=width, height=height // 2, channels=4, format="ico")
    check_header(header, most)
    accept(header)
    try:
        found = raster_from_pil(icon.frame(0))
    except ImageError:
        raise
    except Exception as error:
        raise describe_damage(error) from error
    if bits == 32 and not found.pixels[..., -1].any():
        return Raster(pixels=found.pixels[..., :3].copy())
    return found


def is_tga(data: bytes) -> bool:
    """Tell whether a file is a TGA, which has no signature at its begin: its header is plausible.

    Source: Truevision TGA, version 2.0, fields 1 to 5.
    """
    if len(data) < 19:
        return False
    if data.endswith(_TGA_END):
        return True
    palette, kind, first, length, entry = struct.unpack_from("<BBHHB", data, 1)
    width, height, depth, flags = struct.unpack_from("<HHBB", data, 12)
    if depth not in _TGA_DEPTHS.get(kind & 7, ()) or kind > 11 or flags & 0xC0:
        return False
    mapped = palette == 1 and 0 < length <= 256 and entry in {15, 16, 24, 32}
    plain = palette == 0 and (first, length, entry) == (0, 0, 0)
    return bool(width and height and (mapped if kind & 7 == 1 else plain))


def open_by_pillow(
    data: bytes, kind: Callable[[io.BytesIO], ImageFile.ImageFile]
) -> ImageFile.ImageFile:
    """Return a file's image, its header read.

    Raises:
        ImageError: damaged.
    """
    try:
        image = kind(io.BytesIO(data))
    except Exception as error:  # it raises whatever a damaged header leads it to
        raise describe_damage(error) from error
    if not image.tile:
        raise ImageError("the image is damaged: its header tells of no kind of pixels")
    return image


def describe_damage(error: Exception) -> ImageError:
    """Return Pillow's words in one line."""
    words = ascii(" ".join(str(error).split()))[1:-1] or type(error).__name__
    return ImageError(f"the image is damaged: {words}")


def _read(
    data: bytes,
    kind: Callable[[io.BytesIO], ImageFile.ImageFile],
    file_format: str,
    most: float,
    accept: Accept,
) -> Raster:
    image: Image.Image = open_by_pillow(data, kind)
    channels = len(image.getbands())
    header = Header(width=image.width, height=image.height, channels=channels, format=file_format)
    check_header(header, most)
    accept(header)
    try:
        return raster_from_pil(image)
    except ImageError:
        raise
    except Exception as error:
        raise describe_damage(error) from error


def _read_tga_kind(data: bytes) -> int | None:
    """Return what the extension of a file says of its fourth channel, or none."""
    if not data.endswith(_TGA_END):
        return None
    (at,) = struct.unpack_from("<I", data, len(data) - 26)
    return data[at + _AT_KIND] if at and at + _AT_KIND < len(data) else None
