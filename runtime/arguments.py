"""Limits of the numbers that an Upscaler takes."""

from __future__ import annotations

import math

from tinysr.errors import UnsupportedError

__all__ = ["MAX_MEGAPIXELS", "SCALES", "check_arguments"]

MAX_MEGAPIXELS = 1024.0
"""Largest result that is made unless more is asked for, in 10⁶ pixels: four times the sides of a
photo of 64 megapixels. What the machine's memory can't hold is refused in any case."""

SCALES = (0.1, 16.0)
"""Least and largest scale that can be asked for."""


def check_arguments(*, scale: float, max_megapixels: float, memory_mb: float | None) -> None:
    """Refuse numbers that make no sense.

    Raises:
        UnsupportedError: one is outside its limits, or not finite.
    """
    if not SCALES[0] <= scale <= SCALES[1]:
        raise UnsupportedError(
            f"scale {scale:g}: expected a number from {SCALES[0]:g} to {SCALES[1]:g}"
        )
    if not max_megapixels > 0:  # NaN is above nothing
        raise UnsupportedError(f"max_megapixels {max_megapixels:g}: expected a number above 0")
    if memory_mb is not None and not 0 < memory_mb < math.inf:
        raise UnsupportedError(f"memory_mb {memory_mb:g}: expected a number above 0")
