"""Colours that a PNG file says without an ICC profile: whether other formats would show them."""

from __future__ import annotations

import struct

from ..raster import Metadata

__all__ = ["find_unique_chunk"]

_SRGB_CODES = b"\1\x0d\0\1"
"""Primaries of BT.709, sRGB's curve, RGB, full range: numbers of ITU-T H.273."""

_HDR = {16: "PQ", 18: "HLG"}
_TRANSFER = 1

_SRGB_GAMMA = (45_455,)
_SRGB_POINTS = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
"""White, red, green and blue, x and y of each; as the gamma in 1/100000."""

_NEAR = 1000
"""Nobody sees such a difference, and programs round."""


def find_unique_chunk(metadata: Metadata) -> str | None:
    """Return which chunk says that the values are not sRGB's, or None where no other is needed.

    As the standard says: cICP counts before a profile, a profile before sRGB, and that before gAMA
    and cHRM. What counts as sRGB is what other formats mean where they say nothing.
    """
    said = dict(metadata.png_colour)
    codes = said.get(b"cICP")
    if codes is not None:
        name = _HDR.get(codes[_TRANSFER])
        other = f"cICP: {name}, high dynamic range" if name else "cICP"
        return None if codes == _SRGB_CODES else other
    if metadata.icc_profile is not None or b"sRGB" in said:
        return None
    for kind, usual in ((b"gAMA", _SRGB_GAMMA), (b"cHRM", _SRGB_POINTS)):
        if kind in said:
            found = struct.unpack(f">{len(usual)}I", said[kind])
            if any(abs(a - b) > _NEAR for a, b in zip(found, usual, strict=True)):
                return kind.decode("ascii")
    return None
