"""Gates: the agreement that every artifact must reach on every image, by its precision."""

from __future__ import annotations

from typing import Final

from tinysr.errors import choice_error

__all__ = ["DEPARTURE", "GATES_DB", "SEAM_RATIO", "departure", "gate_db"]

GATES_DB: Final[dict[str, float]] = {
    "fp32": 80.0,
    "fp16": 50.0,
    "bf16": 40.0,
    "int8": 32.0,  # weights and activations
    "w8": 40.0,  # 8-bit weights only
    "w6": 34.0,  # 6-bit weights only
    "w4": 28.0,  # 4-bit weights only
}
"""Lowest PSNR, in dB, that an image may have against the eager fp32 model."""

DEPARTURE: Final[dict[str, float]] = {
    "fp32": 1e-4,
    "fp16": 2e-2,
    "bf16": 1e-1,
    "int8": 2e-1,
    "w8": 1e-1,
    "w6": 2e-1,
    "w4": 3e-1,
}
"""Largest error inside a graph, over the largest value there, that its precision explains."""


SEAM_RATIO: Final = 4.0
"""Largest mean squared error at the borders of tiles, over that elsewhere."""


def gate_db(precision: str) -> float:
    """Return the PSNR that an artifact of this precision must reach, in dB.

    Raises:
        UnsupportedError: there is no gate for this precision.
    """
    return _look_up(GATES_DB, precision)


def departure(precision: str) -> float:
    """Return the relative error from which on a module is said to depart.

    Raises:
        UnsupportedError: there is no gate for this precision.
    """
    return _look_up(DEPARTURE, precision)


def _look_up(table: dict[str, float], precision: str) -> float:
    if precision not in table:
        raise choice_error("precision", precision, table)
    return table[precision]
