"""ICC profiles made of numbers: primaries, white and a curve. Source: ICC.1:2010, version 4.3."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["SRGB_CURVE", "make_profile"]

SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""Curve of sRGB: Y = (aX + b)^g from d on, cX below; g, a, b, c and d."""

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_GAMMA, _WITH_LINE = 0, 3
"""Kinds of parametric curves."""

_DATE = (2026, 1, 1, 0, 0, 0)
"""The same in every profile, so that the same picture has the same bytes."""

_SMALLEST = 1e-6


def make_profile(points: Sequence[float], curve: Sequence[float], *, grey: bool) -> bytes:
    """Return a display profile.

    Args:
        points: white, red, green and blue, x and y of each.
        curve: a gamma, or five numbers as :data:`SRGB_CURVE`; from values to light.
        grey: for images without colours.

    Raises:
        ValueError: no display can have such primaries.
    """
    adapted, columns = _adapt(points)
    tags = {
        b"desc": _pack_text("Made of a PNG's colour chunks"),
        b"cprt": _pack_text("No copyright"),
        b"wtpt": _pack_xyz(_D50),
        b"chad": b"sf32" + bytes(4) + _pack_numbers(adapted.reshape(-1)),
    }
    shape = _pack_curve(curve)
    if grey:
        tags[b"kTRC"] = shape
    else:
        for name, column in zip((b"r", b"g", b"b"), columns.T, strict=True):
            tags |= {name + b"XYZ": _pack_xyz(column), name + b"TRC": shape}
    return _join(tags, b"GRAY" if grey else b"RGB ")


def _adapt(points: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrix from a white to D50, and the primaries' XYZ under D50 as columns."""
    if any(y < _SMALLEST for y in points[1::2]):
        raise ValueError("a primary without light")
    white, *primaries = (
        np.array([x / y, 1.0, (1 - x - y) / y])
        for x, y in zip(points[::2], points[1::2], strict=True)
    )
    matrix = np.stack(primaries, axis=1)
    if abs(np.linalg.det(matrix)) < _SMALLEST:
        raise ValueError("primaries on one line")
    cones, goal = _BRADFORD @ white, _BRADFORD @ _D50
    if (cones < _SMALLEST).any():
        raise ValueError("a white that no eye sees")
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(goal / cones) @ _BRADFORD
    columns = adapted @ (matrix * np.linalg.solve(matrix, white))
    if np.abs(columns).max() >= 2**15:
        raise ValueError("primaries that a profile has no numbers for")
    return adapted, columns


def _join(tags: dict[bytes, bytes], space: bytes) -> bytes:
    """Return a profile of these tags; what is the same is written once."""
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}
    for name, data in tags.items():
        if data not in places:
            places[data] = start + len(body)
            body += data + b"\0" * (-len(data) % 4)
        table += name + struct.pack(">II", places[data], len(data))
    header = struct.pack(">I4sI4s4s4s6H4s", 128 + len(table) + len(body), bytes(4), 0x04300000,
                         b"mntr", space, b"XYZ ", *_DATE, b"acsp")  # fmt: skip
    header = header.ljust(68, b"\0") + _pack_numbers(_D50)
    return header.ljust(128, b"\0") + table + body


def _pack_numbers(numbers: Sequence[float] | NDArray[np.float64]) -> bytes:
    return b"".join(struct.pack(">i", round(float(number) * 65536)) for number in numbers)


def _pack_xyz(numbers: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + _pack_numbers(numbers)


def _pack_curve(curve: Sequence[float]) -> bytes:
    kind = _GAMMA if len(curve) == 1 else _WITH_LINE
    return b"para" + struct.pack(">IHH", 0, kind, 0) + _pack_numbers(curve)


def _pack_text(text: str) -> bytes:
    words = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(words), 28) + words
