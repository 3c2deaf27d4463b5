"""The bytes of a file to a raster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinysr.errors import ImageError

from ..exhaustion import MORE_ROOM, report_exhaustion
from ..raster import Raster
from .avif import read_avif
from .heic import read_heic
from .jpeg2000 import read_jpeg2000
from .kinds import find_kind
from .limits import Accept, check_page
from .netpbm import read_netpbm
from .pillow_read import is_tga, read_bmp, read_ico, read_qoi, read_tga
from .png import is_cut
from .signatures import name_of, remedy_for
from .vips_read import LOADERS, read_by_vips

__all__ = ["Decoded", "begins_as_image", "decode"]

_READERS: dict[str, Callable[[bytes, float, Accept], Raster]] = {
    "bmp": read_bmp,
    "ico": read_ico,
    "jp2": read_jpeg2000,
    "netpbm": read_netpbm,
    "qoi": read_qoi,
    "tga": read_tga,
}
"""Readers of formats of which nothing is left out; the others tell what is."""


def _accept_all(_header: object) -> None:
    """Accept every header."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """Picture of a file, and what was left out of it."""

    raster: Raster
    format: str
    """One of :data:`~tinysr.runtime.files.FORMATS`, or another that is read."""
    notes: tuple[str, ...] = ()
    """Notes on what of the file's picture is not in the raster; one sentence each, for its
    owner."""


def decode(
    data: bytes,
    name: str,
    *,
    max_megapixels: float,
    accept: Accept = _accept_all,
    page: int | None = None,
) -> Decoded:
    """Decode the bytes of an image file.

    Palettes become RGB or RGBA, one bit becomes 8, CMYK becomes sRGB through its profile, YCbCr
    becomes RGB. All other values are those of the file, as is its profile: nothing is converted.
    What lacks only its end marker is whole. Reduced copies and masks in a TIFF file are not pages.

    Args:
        data: the whole file.
        name: of the file, for messages.
        max_megapixels: millions of pixels; a file whose header says more is not decoded.
        accept: called with the header before anything is decoded, to refuse it.
        page: which picture of a TIFF file, or frame of a GIF or WebP animation, from 1; None for
            the only one.

    Raises:
        ImageError: no image, damaged, too large, or of a kind that is not read.
        OutOfMemoryError: it does not fit the memory.
    """
    data = _skip_blank_lines(data)
    file_format = find_kind(data) or ("tga" if is_tga(data) else None)
    if file_format is None:
        found = name_of(data)
        raise ImageError(
            f"{name}: expected an image, such as PNG, JPEG, WebP, AVIF or TIFF, found {found}: "
            f"{remedy_for(found)}"
        )
    left: tuple[str, ...] = ()
    try:
        with report_exhaustion(name, MORE_ROOM):
            if file_format not in LOADERS and file_format != "heic":
                check_page(page, 1, "pages")
            if file_format in _READERS:
                raster = _READERS[file_format](data, max_megapixels, accept)
            elif file_format == "heic":
                raster, left = read_heic(data, max_megapixels, accept, page)
            elif file_format == "avif":
                raster, left = read_avif(data, max_megapixels, accept)
            else:
                raster, left = read_by_vips(data, file_format, max_megapixels, accept, page)
    except ImageError as error:
        cut = file_format == "png" and is_cut(data) and "damaged" in str(error)
        reason = "the image is damaged: the file is truncated" if cut else error
        raise ImageError(f"{name}: {reason}") from error
    return Decoded(raster=raster, format=file_format, notes=left)


def begins_as_image(start: bytes) -> bool:
    """Tell whether a file with this beginning, of 64 bytes or more, may be one that is read."""
    return start.isspace() or find_kind(_skip_blank_lines(start)) is not None or is_tga(start)


def _skip_blank_lines(data: bytes) -> bytes:
    """Return a file without the blank lines that some web servers send before a PNG or a JPEG."""
    if not data[:1].isspace():
        return data
    rest = data.lstrip()
    return rest if find_kind(rest) in ("png", "jpg") else data
