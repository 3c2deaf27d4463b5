"""Headers of JPEG XL codestreams. Source: ISO/IEC 18181-1, annexes C and D.

They are read here, because the decoder tells a size only with all pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

from .bits import BitReader

__all__ = [
    "ALPHA",
    "BLACK",
    "CODES",
    "GREY",
    "JxlColours",
    "JxlExtra",
    "JxlHeader",
    "read_header",
]

CODES = b"\xff\x0a"
"""Begin of a codestream."""

ALPHA, _SPOT, BLACK, _MOSAIC = 0, 2, 4, 5
"""Kinds of extra channels."""

RGB, GREY, _XYB = 0, 1, 2
"""Kinds of colours."""

_CUSTOM = 2
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width over height, by numbers from 1 on."""

_SIDES = ((1, 9), (1, 13), (1, 18), (1, 30))
_HALF = 16
"""Bits of a small float."""

_MOST_EXTRAS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class JxlExtra:
    """A channel beside the colours."""

    kind: int
    premultiplied: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class JxlColours:
    """Colours of a picture."""

    space: int = RGB
    profile: bool = False
    """Whether an ICC profile follows, in place of numbers."""
    numbers: tuple[int, int] | None = (1, 13)
    """Primaries and transfer function by the numbers of ITU-T H.273; None if it has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JxlHeader:
    """All that a codestream says before its frames, or before its ICC profile if it has one."""

    width: int
    """Width in pixels, as they lie in the file."""
    height: int
    bits: int = 8
    floats: bool = False
    orientation: int = 1
    animated: bool = False
    extras: tuple[JxlExtra, ...] = ()
    absolute: bool = True
    """Whether it is coded in absolute colours (XYB), and only shown in those of the header."""
    colours: JxlColours = JxlColours()
    colours_at: tuple[int, int] = (0, 0)
    """Offsets in bits of the colours' begin and end."""
    end: int = 0
    """Offset in bits of what follows."""


def read_header(data: bytes) -> JxlHeader:
    """Return the header of a codestream.

    Raises:
        ValueError: it is damaged.
    """
    if not data.startswith(CODES):
        raise ValueError("it has no coded picture")
    reader = BitReader(data, 8 * len(CODES))
    width, height = _read_size(reader)
    if reader.flag():
        _skip_transform(reader, absolute=True)
        return JxlHeader(width=width, height=height, end=reader.at)
    orientation, animated, more = 1, False, reader.flag()
    if more:
        orientation = 1 + reader.read(3)
        if reader.flag():
            _read_size(reader)
        if reader.flag():
            _skip_preview(reader)
        animated = reader.flag()
        if animated:
            _skip_animation(reader)
    bits, floats = _read_depth(reader)
    reader.flag()  # whether buffers of 16 bits suffice
    count = reader.choice((0, 0), (1, 0), (2, 4), (1, 12))
    if count > _MOST_EXTRAS:
        raise ValueError(f"it has {count} channels beside its colours")
    extras = tuple(_read_extra(reader) for _ in range(count))
    absolute, begin = reader.flag(), reader.at
    colours = _read_colours(reader)
    end = reader.at
    if more and not reader.flag():  # how bright its display is
        reader.read(2 * _HALF + 1 + _HALF)
    _skip_extensions(reader)
    _skip_transform(reader, absolute=absolute)
    return JxlHeader(
        width=width,
        height=height,
        bits=bits,
        floats=floats,
        orientation=orientation,
        animated=animated,
        extras=extras,
        absolute=absolute,
        colours=colours,
        colours_at=(begin, end),
        end=reader.at,
    )


def _read_size(reader: BitReader) -> tuple[int, int]:
    small = reader.flag()
    height = 8 * (1 + reader.read(5)) if small else reader.choice(*_SIDES)
    ratio = reader.read(3)
    if ratio:
        above, below = _RATIOS[ratio - 1]
        return height * above // below, height
    return (8 * (1 + reader.read(5)) if small else reader.choice(*_SIDES)), height


def _skip_preview(reader: BitReader) -> None:
    sides = (
        ((16, 0), (32, 0), (1, 5), (33, 9))
        if reader.flag()
        else ((1, 6), (65, 8), (321, 10), (1345, 12))
    )
    reader.choice(*sides)
    if not reader.read(3):
        reader.choice(*sides)


def _skip_animation(reader: BitReader) -> None:
    reader.choice((100, 0), (1000, 0), (1, 10), (1, 30))
    reader.choice((1, 0), (1001, 0), (1, 8), (1, 10))
    reader.choice((0, 0), (0, 3), (0, 16), (0, 32))
    reader.flag()


def _read_depth(reader: BitReader) -> tuple[int, bool]:
    if reader.flag():
        bits = reader.choice((32, 0), (16, 0), (24, 0), (1, 6))
        reader.read(4)
        return bits, True
    return reader.choice((8, 0), (10, 0), (12, 0), (1, 6)), False


def _read_extra(reader: BitReader) -> JxlExtra:
    if reader.flag():
        return JxlExtra(kind=ALPHA)
    kind = reader.enum()
    _read_depth(reader)
    reader.choice((0, 0), (3, 0), (4, 0), (1, 3))
    reader.read(8 * reader.choice((0, 0), (0, 4), (16, 5), (48, 10)))
    if kind == _SPOT:
        reader.read(4 * _HALF)
    if kind == _MOSAIC:
        reader.choice((1, 0), (0, 2), (3, 4), (19, 8))
    return JxlExtra(kind=kind, premultiplied=kind == ALPHA and reader.flag())


def _read_colours(reader: BitReader) -> JxlColours:
    if reader.flag():
        return JxlColours()
    profile, space = reader.flag(), reader.enum()
    if profile:
        return JxlColours(space=space, profile=True, numbers=None)
    white, primaries, known = 1, 1, True
    if space != _XYB:
        white = _read_points(reader, 1)
        if space != GREY:
            primaries = _read_points(reader, 3)
        known = not reader.flag()
    transfer = (reader.enum() if known else reader.read(24)) if space != _XYB else 0
    reader.enum()  # the rendering intent
    numbers = _name_colours(white, primaries, transfer) if known and space <= GREY else None
    return JxlColours(space=space, numbers=numbers)


def _read_points(reader: BitReader, count: int) -> int:
    """Return a name of points; those without one are passed over."""
    name = reader.enum()
    for _ in range(2 * count if name == _CUSTOM else 0):
        reader.choice((0, 19), (524_288, 19), (1_048_576, 20), (2_097_152, 21))
    return name


def _name_colours(white: int, primaries: int, transfer: int) -> tuple[int, int] | None:
    """Return H.273's numbers; JPEG XL has the same ones, and a white apart."""
    d65, dci = 1, 11
    if (white, primaries) == (d65, dci):
        return 12, transfer
    if (white == d65 and primaries in (1, 9)) or (white, primaries) == (dci, dci):
        return primaries, transfer
    return None


def _skip_extensions(reader: BitReader) -> None:
    present = reader.long()
    lengths = [reader.long() for place in range(64) if present >> place & 1]
    reader.at += sum(lengths)


def _skip_transform(reader: BitReader, *, absolute: bool) -> None:
    """Pass over the numbers of the way from the file's colours to light, and of upsampling."""
    if reader.flag():
        return
    if absolute and not reader.flag():
        reader.at += 16 * _HALF
    weights = reader.read(3)
    for place, count in enumerate((15, 55, 210)):
        if weights >> place & 1:
            reader.at += count * _HALF
