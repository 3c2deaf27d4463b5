"""Kinds of TIFF pictures: which are read, which channels are kept, and what the others are called.

What libvips would take for something else is refused by its name before libvips sees it.
"""

from __future__ import annotations

from typing import Any

from tinysr.errors import ImageError

from .tiff_pages import COMPRESSION, PHOTOMETRIC, Page

__all__ = ["check_kind", "colours_and_opacity"]

_BITS, _SAMPLES, _PLANES, _INK_SET, _EXTRA, _FORMAT = 258, 277, 284, 332, 338, 339
_TILE_WIDTH = 322
_LUMA, _BLACK_WHITE = 529, 532

_SEPARATE, _INKS_OF_CMYK, _JPEG = 2, 1, 7
_PREMULTIPLIED, _STRAIGHT = 1, 2
_OPACITY = {_PREMULTIPLIED, _STRAIGHT}
_UNSIGNED, _SIGNED, _FLOAT, _VOID = 1, 2, 3, 4
_FORMATS = {_UNSIGNED: "integers", _SIGNED: "signed integers", _FLOAT: "floats"}

_PALETTE, _RGB, _CMYK, _YCBCR = 3, 2, 5, 6
_COLOURS = {
    0: "grey with white as 0",
    1: "grey",
    _RGB: "RGB",
    _PALETTE: "a palette",
    _CMYK: "CMYK",
    _YCBCR: "YCbCr",
}
_CHANNELS = {0: 1, 1: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
_OTHER_COLOURS = {
    4: "transparency masks", 8: "CIELab colours", 9: "ICCLab colours", 10: "ITULab colours",
    32844: "LogL values", 32845: "LogLuv colours",
}  # fmt: skip

_DEPTHS = {
    (0, _UNSIGNED): {1, 2, 4, 8, 16}, (1, _UNSIGNED): {1, 2, 4, 8, 16}, (_RGB, _UNSIGNED): {8, 16},
    (_PALETTE, _UNSIGNED): {1, 2, 4, 8}, (_CMYK, _UNSIGNED): {8, 16}, (_YCBCR, _UNSIGNED): {8},
    (1, _FLOAT): {16, 32}, (_RGB, _FLOAT): {16, 32},
}  # fmt: skip
"""Bits of values that are read, in each kind of colours."""

_COMPRESSIONS = {1, 2, 3, 4, 5, _JPEG, 8, 32771, 32773, 32946, 50001}
_OTHER_COMPRESSIONS = {
    6: "old-style JPEG", 9: "JBIG", 10: "JBIG", 32766: "NeXT", 32809: "ThunderScan", 34661: "JBIG",
    33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000",
    34676: "SGILog", 34677: "SGILog", 34887: "LERC", 34925: "LZMA", 50000: "ZSTD",
    50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip


def check_kind(page: Page) -> None:
    """Refuse a picture that would not come out as what it is.

    Raises:
        ImageError: its colours, values, compression or order are not read.
    """
    method = page.number(COMPRESSION, 1)
    if method not in _COMPRESSIONS:
        name = _OTHER_COMPRESSIONS.get(method, f"method {method}")
        raise _describe_unsupported(f"TIFF compressed with {name}", "with Deflate or LZW")
    if PHOTOMETRIC not in page.directory.entries:
        raise ImageError("the image is damaged: the TIFF file does not say which colours it has")
    colours = page.number(PHOTOMETRIC, -1)
    if colours not in _COLOURS:
        name = _OTHER_COLOURS.get(colours, f"colours of kind {colours}")
        raise _describe_unsupported(f"TIFF in {name}", "as grey, RGB or CMYK")
    if colours == _CMYK and page.number(_INK_SET, _INKS_OF_CMYK) != _INKS_OF_CMYK:
        raise _describe_unsupported("TIFF in inks other than CMYK", "as CMYK or RGB")
    samples = page.number(_SAMPLES, 1)
    if samples < _CHANNELS[colours]:
        raise ImageError(
            f"the image is damaged: expected {_CHANNELS[colours]} channels or more in a TIFF in "
            f"{_COLOURS[colours]}, found {samples}"
        )
    _check_depth(page, colours, samples)
    if colours == _CMYK and _OPACITY & {*_read_extras(page)}:
        raise _describe_unsupported("TIFF in CMYK with transparency", "as RGB with transparency")
    if colours == _YCBCR and samples > _CHANNELS[colours]:
        raise _describe_unsupported("TIFF in YCbCr with more channels", "as RGB")
    if samples > 1 and page.number(_PLANES, 1) == _SEPARATE and page.number(_TILE_WIDTH, 0):
        raise _describe_unsupported("TIFF in tiles of separate planes", "with interleaved channels")


def colours_and_opacity(page: Page, image: Any) -> tuple[Any, str | None]:
    """Return libvips's image of a page without channels that are neither, and in RGB if in YCbCr.

    Returns:
        the image, and what was left out, if anything was.
    """
    if page.number(PHOTOMETRIC, 1) == _YCBCR and page.number(COMPRESSION, 1) != _JPEG:
        # What is subsampled libtiff converts itself, and adds an alpha channel that is opaque.
        return (image[:3] if image.bands > 3 else _rgb_of_ycbcr(page, image)), None
    extras = _read_extras(page)
    first = image.bands - len(extras)
    opacity = [first + place for place, kind in enumerate(extras) if kind in _OPACITY]
    kept = [*range(first), *opacity[:1]]
    left = image.bands - len(kept)
    if not left:
        return image, None
    picked = image[kept[0]]
    if len(kept) > 1:
        picked = picked.bandjoin([image[band] for band in kept[1:]])
    note = (
        f"{left} channel{'s' * (left > 1)} left out that {'are' if left > 1 else 'is'} neither "
        "colour nor opacity, such as a saved selection"
    )
    return picked.copy(interpretation=image.interpretation), note


def _check_depth(page: Page, colours: int, samples: int) -> None:
    if samples > 1 and _BITS not in page.directory.entries:
        raise ImageError("the image is damaged: the TIFF file does not say which depth it has")
    bits, formats = {*page.numbers(_BITS)} or {1}, {*page.numbers(_FORMAT)} or {_UNSIGNED}
    name = _COLOURS[colours]
    if len(bits) > 1 or len(formats) > 1:
        raise _describe_unsupported("TIFF with channels of different depths", "with one depth")
    (depth,), (form,) = bits, formats
    form = _UNSIGNED if form == _VOID else form
    allowed = _DEPTHS.get((colours, form), set())
    if depth not in allowed or (samples > 1 and depth < 8):
        values = f"{depth}-bit {_FORMATS.get(form, 'complex numbers')}"
        floats = " or as 32-bit floats" if (colours, _FLOAT) in _DEPTHS else ""
        best = max(_DEPTHS[colours, _UNSIGNED] & {8, 16})
        depths = "8 or 16" if best == 16 else "8"
        raise _describe_unsupported(f"TIFF in {name} of {values}", f"with {depths} bits{floats}")


def _read_extras(page: Page) -> tuple[int, ...]:
    """Return what each channel beside the colours is; 0 where the file does not say it.

    A fourth channel of RGB that nothing is said of is opacity to OpenCV, which writes it so, and to
    other programs.
    """
    colours = page.number(PHOTOMETRIC, 1)
    count = page.number(_SAMPLES, 1) - _CHANNELS[colours]
    if _EXTRA not in page.directory.entries and (colours, count) == (_RGB, 1):
        return (_STRAIGHT,)
    return (page.numbers(_EXTRA) + (0,) * count)[:count]


def _rgb_of_ycbcr(page: Page, image: Any) -> Any:
    """Return RGB of 8 bits. Source: TIFF 6.0, sections 20 and 21."""
    red, green, blue = page.ratios(_LUMA, 3) or (0.299, 0.587, 0.114)
    points = page.ratios(_BLACK_WHITE, 6) or (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
    blacks, whites = points[::2], points[1::2]
    if not green or any(white == black for white, black in zip(whites, blacks, strict=True)):
        raise ImageError("the image is damaged: its YCbCr coefficients are zero")
    light, *chroma = (
        full / (white - black)
        for full, white, black in zip((255, 127, 127), whites, blacks, strict=True)
    )
    of_blue, of_red = (
        2 * (1 - part) * step for part, step in zip((blue, red), chroma, strict=True)
    )
    matrix = [
        [light, 0, of_red],
        [light, -of_blue * blue / green, -of_red * red / green],
        [light, of_blue, 0],
    ]
    shifted = image.linear([1, 1, 1], [-black for black in blacks])
    return shifted.recomb(matrix).rint().cast("uchar").copy(interpretation="srgb")


def _describe_unsupported(what: str, how: str) -> ImageError:
    return ImageError(f"{what} is not supported: save it {how}")
