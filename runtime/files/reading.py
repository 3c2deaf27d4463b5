"""The bytes of a file to a raster."""

from __future__ import annotations

from dataclasses import dataclass

from tinysr.errors import ImageError

from ..exhaustion import MORE_ROOM, report_exhaustion
from ..raster import Pixels, Raster
from .bmp import read_bmp
from .limits import Accept, Header
from .png import is_cut
from .signatures import name_of, remedy_for
from .vips_read import read_by_vips

__all__ = ["Decoded", "decode"]

_STARTS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"BM": "bmp",
}

_DAMAGED = "the image is damaged"


def _accept_all(_header: object) -> None:
    """Accept every header."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """Picture of a file, and what was left out of it."""

    raster: Raster
    format: str
    """One of :data:`~tinysr.runtime.files.FORMATS`, or "bmp"."""
    notes: tuple[str, ...] = ()
    """Notes on what of the file's picture is not in the raster; one sentence each, for its
    owner."""


def decode(
    data: bytes,
    name: str,
    *,
    max_megapixels: float,
    accept: Accept = _accept_all,
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
        take_damaged: of a file that is damaged, return what there is of its picture.

    Raises:
        ImageError: no image, damaged, too large, or of a kind that is not read.
        OutOfMemoryError: it does not fit the memory.
    """
    data = _skip_blank_lines(data)
    file_format = _format(data)
    if file_format is None:
        found = name_of(data)
        raise ImageError(
            f"{name}: expected a PNG, JPEG, WebP, TIFF or BMP image, found {found}: "
            f"{remedy_for(found)}"
        )
    try:
        with report_exhaustion(name, MORE_ROOM):
            reader = _Reader(data=data, format=file_format, most=max_megapixels, accept=accept)
            raster, left = reader.read_damaged() if take_damaged else reader.read_whole()
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    return Decoded(raster=raster, format=file_format, notes=left)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """One file, to be decoded whole or as far as it goes."""

    data: bytes
    format: str
    most: float
    accept: Accept

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
            offer = (
                "; --take-damaged enlarges what there is of it"
                if known or self.format == "jpg"
                else ""
            )
            raise ImageError(f"{self._explain(error)}{offer}") from error

    def read_damaged(self) -> tuple[Raster, tuple[str, ...]]:
        """Decode a file as far as it goes, and return what of it was left out."""
        try:
            return self._read(self.accept, damaged=False)
        except ImageError as error:
            if _DAMAGED not in str(error):
                raise
            reason = self._explain(error)
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
        if self.format == "bmp":
            return read_bmp(self.data, self.most, accept, damaged=damaged), ()
        return read_by_vips(self.data, self.format, self.most, accept, damaged=damaged)


def _is_blank(pixels: Pixels) -> bool:
    """Tell whether all pixels are the same, as where a decoder found none."""
    lows, highs = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))
    return bool((lows == highs).all())


def _skip_blank_lines(data: bytes) -> bytes:
    """Return a file without the blank lines that some web servers send before a PNG or a JPEG."""
    if not data[:1].isspace():
        return data
    rest = data.lstrip()
    return rest if _format(rest) in ("png", "jpg") else data


def _format(data: bytes) -> str | None:
    """Tell a format by its first bytes."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    return next((name for start, name in _STARTS.items() if data.startswith(start)), None)
