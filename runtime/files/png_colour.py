"""Colours that a PNG file says without an ICC profile, as a profile for other formats."""

from __future__ import annotations

import struct
from dataclasses import replace

from ..metadata.profiles import SRGB_CURVE, make_profile
from ..raster import Metadata

__all__ = ["find_unique_chunk", "with_profile"]

_SRGB_CODES = b"\1\x0d\0\1"
"""Primaries of BT.709, sRGB's curve, RGB, full range: numbers of ITU-T H.273."""

_HDR = {16: "PQ", 18: "HLG"}
_TRANSFER = 1

_D65 = (0.3127, 0.329)
_BT709 = (*_D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_NTSC = (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07)
_PRIMARIES = {
    1: _BT709,
    4: (0.31, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: _NTSC,
    7: _NTSC,
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
"""White, red, green and blue, x and y of each, by H.273's numbers (table 2)."""

_CAMERA = (1 / 0.45, 1 / 1.0993, 0.0993 / 1.0993, 1 / 4.5, 4.5 * 0.018053)
_CURVES: dict[int, tuple[float, ...]] = {
    1: _CAMERA, 6: _CAMERA, 14: _CAMERA, 15: _CAMERA, 4: (2.2,), 5: (2.8,), 8: (1.0,),
    13: SRGB_CURVE,
}  # fmt: skip
"""Curves from values to light, by H.273's numbers (table 3)."""

_RGB_IN_FULL = b"\0\1"
"""Coefficients of RGB, and full range."""

_SRGB_GAMMA = (45_455,)
_SRGB_POINTS = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
"""White, red, green and blue, x and y of each; as the gamma in 1/100000."""

_LEAST_GAMMA = 100
"""Above which the exponent, its inverse, fits a profile's numbers."""

_NEAR = 1000
"""Nobody sees such a difference, and programs round."""


def find_unique_chunk(metadata: Metadata) -> str | None:
    """Return which chunk says colours that no profile can, or None where other formats have a way.

    As the standard says: cICP counts before a profile, a profile before sRGB, and that before gAMA
    and cHRM.
    """
    try:
        with_profile(metadata, grey=False)
    except ValueError:
        codes = dict(metadata.png_colour).get(b"cICP")
        if codes is None:
            return "gAMA, cHRM"
        name = _HDR.get(codes[_TRANSFER])
        return f"cICP: {name}, high dynamic range" if name else "cICP"
    return None


def with_profile(metadata: Metadata, *, grey: bool) -> Metadata:
    """Return metadata that says in a profile what a PNG file's chunks say; nothing for sRGB.

    Raises:
        ValueError: no profile of a display can say it.
    """
    said = dict(metadata.png_colour)
    if not said:
        return metadata
    profile = metadata.icc_profile
    codes = said.get(b"cICP")
    if codes is not None:
        if codes != _SRGB_CODES or profile is not None:
            profile = _profile_of_codes(codes, grey=grey)
    elif profile is None and b"sRGB" not in said:
        profile = _profile_of_numbers(said, grey=grey)
    return replace(metadata, icc_profile=profile, png_colour=())


def _profile_of_codes(codes: bytes, *, grey: bool) -> bytes:
    points, curve = _PRIMARIES.get(codes[0]), _CURVES.get(codes[_TRANSFER])
    if points is None or curve is None or codes[2:] != _RGB_IN_FULL:
        raise ValueError("codes of no display")
    return make_profile(points, curve, grey=grey)


def _profile_of_numbers(said: dict[bytes, bytes], *, grey: bool) -> bytes | None:
    """Return the profile that gAMA and cHRM stand for, or None if that is sRGB."""
    gamma, points = (
        struct.unpack(f">{len(usual)}I", said[kind]) if kind in said else None
        for kind, usual in ((b"gAMA", _SRGB_GAMMA), (b"cHRM", _SRGB_POINTS))
    )
    if _is_near(gamma, _SRGB_GAMMA) and _is_near(points, _SRGB_POINTS):
        return None
    if gamma is not None and gamma[0] < _LEAST_GAMMA:
        raise ValueError("a gamma that a profile has no number for")
    curve = SRGB_CURVE if gamma is None else (100_000 / gamma[0],)
    places = _BT709 if points is None else tuple(number / 100_000 for number in points)
    return make_profile(places, curve, grey=grey)


def _is_near(found: tuple[int, ...] | None, usual: tuple[int, ...]) -> bool:
    if found is None:
        return True
    return all(abs(a - b) <= _NEAR for a, b in zip(found, usual, strict=True))
