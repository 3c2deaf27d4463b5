"""The bytes of a file to a raster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinysr.errors import ImageError

from ..exhaustion import MORE_ROOM, report_exhaustion
from ..raster import Pixels, Raster
from .avif import read_avif
from .bmp import read_bmp
from .heic import read_heic
from .jpeg2000 import read_jpeg2000
from .jxl import read_jxl
from .kinds import find_kind
from .limits import Accept, Header, check_page
from .netpbm import read_netpbm
from .pillow_read import is_tga, read_ico, read_qoi, read_tga
from .png import is_cut
from .signatures import name_of, remedy_for
from .vips_read import LOADERS, read_by_vips

__all__ = ["Decoded", "begins_as_image", "decode"]

_READERS: dict[str, Callable[[bytes, float, Accept], Raster]] = {
    "ico": read_ico,
    "jp2": read_jpeg2000,
    "netpbm": read_netpbm,
    "qoi": read_qoi,
    "tga": read_tga,
}
"""Readers of formats of which nothing is left out."""

_PAGED = {"avif": read_avif, "heic": read_heic}
"""Readers of formats that may have several pictures, beside those of libvips."""

_DAMAGED = "the image is damaged"

_IN_PART = frozenset({"png", "jpg", "webp", "tiff", "bmp"})
"""Formats of which what there is of a damaged file may be read."""


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
    take_damaged: bool = False,
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
        page: which picture of a TIFF or HEIC file, or frame of a GIF, WebP or PNG animation, from
            1; None for the only one.
        take_damaged: of a file that is damaged, return what there is of its picture.

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
    try:
        with report_exhaustion(name, MORE_ROOM):
            reader = _Reader(
                data=data, format=file_format, most=max_megapixels, accept=accept, page=page
            )
            raster, left = reader.read_damaged() if take_damaged else reader.read_whole()
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    return Decoded(raster=raster, format=file_format, notes=left)


def begins_as_image(start: bytes) -> bool:
    """Tell whether a file with this beginning, of 64 bytes or more, may be one that is read."""
    return start.isspace() or find_kind(_skip_blank_lines(start)) is not None or is_tga(start)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """One file, to be decoded whole or as far as it goes."""

    data: bytes
    format: str
    most: float
    accept: Accept
    page: int | None

    def read_whole(self) -> tuple[Raster, tuple[str, ...]]:
        """Decode a file that is whole, and return what of it was left out."""
        known = False

        def accept(header: Header) -> None:
            nonlocal known
            self.accept(header)
            known = True

        try:
            return self._read(accept, damaged=False)
        except ImageError as error:
            if _DAMAGED not in str(error):
                raise
            offered = self.format in _IN_PART and (known or self.format == "jpg")
            offer = "; --take-damaged enlarges what there is of it" if offered else ""
            raise ImageError(f"{self._explain(error)}{offer}") from error

    def read_damaged(self) -> tuple[Raster, tuple[str, ...]]:
        """Decode a file as far as it goes, and return what of it was left out."""
        try:
            return self._read(self.accept, damaged=False)
        except ImageError as error:
            if _DAMAGED not in str(error):
                raise
            reason = self._explain(error)
        if self.format not in _IN_PART:
            raise ImageError(f"{reason}; nothing of it can be read")
        try:
            raster, left = self._read(self.accept, damaged=True)
        except ImageError as error:
            raise ImageError(f"{reason}; nothing of it can be read") from error
        if _is_blank(raster.pixels):
            raise ImageError(f"{reason}; nothing of it is left")
        return raster, (f"{reason}; parts of it are missing or wrong", *left)

    def _explain(self, error: ImageError) -> str:
        """Return what is wrong with the file."""
        cut = self.format == "png" and is_cut(self.data)
        return f"{_DAMAGED}: the file is truncated" if cut else str(error)

    def _read(self, accept: Accept, *, damaged: bool) -> tuple[Raster, tuple[str, ...]]:
        data, most = self.data, self.most
        if self.format not in (*LOADERS, *_PAGED):
            check_page(self.page, 1, "pages")
        if self.format == "bmp":
            return read_bmp(data, most, accept, damaged=damaged), ()
        if self.format in _READERS:
            return _READERS[self.format](data, most, accept), ()
        if self.format in _PAGED:
            return _PAGED[self.format](data, most, accept, self.page)
        if self.format == "jxl":
            return read_jxl(data, most, accept)
        return read_by_vips(data, self.format, most, accept, page=self.page, damaged=damaged)


def _is_blank(pixels: Pixels) -> bool:
    """Tell whether all pixels are the same, as where a decoder found none."""
    lows, highs = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))
    return bool((lows == highs).all())


def _skip_blank_lines(data: bytes) -> bytes:
    """Return a file without the blank lines that some web servers send before a PNG or a JPEG."""
    if not data[:1].isspace():
        return data
    rest = data.lstrip()
    return rest if find_kind(rest) in ("png", "jpg") else data
