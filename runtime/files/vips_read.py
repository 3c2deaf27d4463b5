"""PNG, JPEG, WebP, TIFF and GIF files to rasters, by libvips.

libvips is lazy: opening reads the header, and nothing is decoded before the size was checked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinysr.errors import ImageError

from ..metadata import describe_parts, turn_upright
from ..metadata.exif import resolution_of
from ..metadata.tiff import iptc_of_page, metadata_of_page
from ..raster import Metadata, Pixels, Raster, clip_rounding
from ..vips import damage, pixels_from_image, pyvips, srgb_from_cmyk, take_warnings, use_vips
from .apng import compose_frame
from .damaged import complete_png, complete_tiff, complete_webp
from .jpeg import add_end, check_whole, end_anyway, remove_fill
from .jpeg_packets import comment_of_jpeg, iptc_of_jpeg, xmp_of_jpeg
from .limits import MOST_CHANNELS, MOST_METADATA, Accept, Header, check_header, check_page
from .png import colour_chunks, frames_of, resolution_of_png
from .png_packets import packets_of_png
from .tiff_kinds import check_kind, colours_and_opacity
from .tiff_pages import Page, picture_of_tiff

__all__ = ["LOADERS", "read_by_vips"]

LOADERS = {
    "png": "pngload_buffer",
    "jpg": "jpegload_buffer",
    "webp": "webpload_buffer",
    "tiff": "tiffload_buffer",
    "gif": "gifload_buffer",
}
"""libvips's operation for each format. They are named, so that it never guesses another."""

_COLOURS = {"b-w", "grey16", "srgb", "rgb16", "scrgb", "rgb", "multiband"}
_MM_PER_INCH = 25.4

_VALUE_BYTES = {
    "uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4,
    "float": 4, "complex": 8, "double": 8, "dpcomplex": 16,
}  # fmt: skip


def read_by_vips(
    data: bytes,
    file_format: str,
    most: float,
    accept: Accept,
    *,
    page: int | None = None,
    damaged: bool = False,
) -> tuple[Raster, tuple[str, ...]]:
    """Decode a file; see :func:`tinysr.runtime.files.decode`.

    Args:
        data: the whole file.
        file_format: one of :data:`LOADERS`.
        most: millions of pixels.
        accept: called with the header.
        page: which page or frame, from 1; None for the only one.
        damaged: read what there is of the picture.

    Returns:
        the image, and what of the file is not in it.
    """
    with use_vips():
        return _read(data, file_format, most, accept, number=page, damaged=damaged)


def _read(
    data: bytes,
    file_format: str,
    most: float,
    accept: Accept,
    *,
    number: int | None,
    damaged: bool,
) -> tuple[Raster, tuple[str, ...]]:
    page = picture_of_tiff(data, number) if file_format == "tiff" else None
    image, left = _open(data, file_format, page, damaged=damaged)
    header = _header(image, file_format)
    check_header(header, most)
    accept(header)
    if damaged:
        data, page = _complete(data, page, header)
        image, left = _open(data, file_format, page, damaged=True)
    fields, animated = _Fields(image), False
    if file_format != "tiff":
        frames = frames_of(data) if file_format == "png" else fields.get("n-pages") or 1
        check_page(number, frames, "frames")
        animated = number is not None and frames > 1
        if animated and file_format != "png":
            options = {"page": (number or 1) - 1, "fail_on": "none" if damaged else "error"}
            image = _call_loader(data, file_format, options)
    orientation = fields.get("orientation")
    if image.interpretation == "cmyk":
        if image.bands != 4:
            raise ImageError(f"expected CMYK of 4 channels, found {image.bands}")
        image = srgb_from_cmyk(image)
    elif image.interpretation not in _COLOURS:
        raise ImageError(f"expected grey, RGB or CMYK, found {image.interpretation}")
    profile = _Fields(image).packet("icc-profile-data")
    if file_format == "png":
        metadata = _metadata_of_png(data, profile)
    else:
        exif, dpi = _exif_and_dpi(data, page, file_format, image, fields)
        metadata = Metadata(
            icc_profile=profile,
            exif=exif,
            xmp=fields.packet("xmp-data"),
            dpi=dpi,
            iptc=None if page is None else iptc_of_page(data, page.directory),
        )
    if file_format == "jpg":
        metadata = replace(
            metadata,
            xmp=xmp_of_jpeg(data),
            iptc=iptc_of_jpeg(data),
            comment=comment_of_jpeg(data),
        )
    if file_format == "png" and animated:
        pixels = compose_frame(data, number or 1, _decode_png)
    else:
        pixels = clip_rounding(pixels_from_image(image))
    if file_format == "jpg" and not damaged:
        check_whole(take_warnings())
    parts = (f"its {part} is left out" for part in describe_parts(metadata.xmp))
    return turn_upright(pixels, metadata, orientation), (*left, *parts)


def _decode_png(data: bytes) -> Pixels:
    return pixels_from_image(_call_loader(data, "png", {"fail_on": "error"}))


def _open(
    data: bytes, file_format: str, page: Page | None, *, damaged: bool
) -> tuple[Any, tuple[str, ...]]:
    """Return a file's image, without channels that are not read, and what was left out."""
    options: dict[str, Any] = {"fail_on": "none" if damaged else "error"}
    if file_format == "jpg":
        data = end_anyway(data) if damaged else add_end(remove_fill(data))
    if file_format == "webp" and damaged:
        data = complete_webp(data)
    if page is not None:
        check_kind(page)
        data, options = page.tidy(), {**options, "page": page.index}
    image = _call_loader(data, file_format, options)
    if page is None or image.bands > MOST_CHANNELS:
        return image, ()
    image, left = colours_and_opacity(page, image)
    return image, () if left is None else (left,)


def _call_loader(data: bytes, file_format: str, options: dict[str, Any]) -> Any:
    try:
        return pyvips.Operation.call(LOADERS[file_format], data, access="sequential", **options)
    except pyvips.Error as error:
        raise damage(error) from error


def _complete(data: bytes, page: Page | None, header: Header) -> tuple[bytes, Page | None]:
    """Return a damaged file with all bytes that its picture should have, where that helps."""
    if header.format == "png":
        return complete_png(data), page
    if page is None:
        return data, page
    size = header.width * header.height * MOST_CHANNELS * header.value_bytes
    whole = complete_tiff(page, data, size)
    return whole, replace(page, data=whole)


def _header(image: Any, file_format: str) -> Header:
    return Header(
        width=image.width,
        height=image.height,
        channels=image.bands,
        value_bytes=_VALUE_BYTES[image.format],
        format=file_format,
    )


class _Fields:
    """Metadata that a file holds beside its pixels."""

    def __init__(self, image: Any) -> None:
        self._image = image

    def get(self, name: str) -> Any:
        # Not by get_fields(), which stumbles over names of text chunks that are no UTF-8.
        return self._image.get(name) if self._image.get_typeof(name) else None

    def packet(self, name: str) -> bytes | None:
        found = self.get(name)
        return bytes(found) if found and len(found) <= MOST_METADATA else None


def _metadata_of_png(data: bytes, profile: bytes | None) -> Metadata:
    found = packets_of_png(data)
    return Metadata(
        icc_profile=profile,
        exif=found.exif,
        xmp=found.xmp,
        iptc=found.iptc,
        dpi=resolution_of_png(data) or resolution_of(found.exif),
        png_colour=colour_chunks(data),
        png_text=found.texts,
    )


def _exif_and_dpi(
    data: bytes, page: Page | None, file_format: str, image: Any, fields: _Fields
) -> tuple[bytes | None, tuple[float, float] | None]:
    if page is not None:
        return metadata_of_page(data, page.directory, page.layout)
    exif = fields.packet("exif-data")
    if file_format == "jpg" and fields.get("resolution-unit"):
        return exif, (image.xres * _MM_PER_INCH, image.yres * _MM_PER_INCH)
    return exif, resolution_of(exif)
