"""Admission: which images are taken, by their size alone, and how much memory one is given."""

from __future__ import annotations

import math

from tinysr.errors import ImageError

from .footprint import Footprint
from .geometry import SizePlan
from .headroom import measure_headroom
from .network import MEMORY_MB

__all__ = ["check_memory", "check_result", "default_memory_mb"]

_SHARE = 0.5
"""Share of the free memory that one image takes by default at most."""

_LEAST_MEMORY_MB = 100.0
"""Windows that are still smaller would only cost time: the libraries alone take more."""


def default_memory_mb() -> float:
    """Return :data:`MEMORY_MB`, or half of what is free here, in a container too, where less is."""
    free = measure_headroom().memory
    if free is None:
        return MEMORY_MB
    return max(_LEAST_MEMORY_MB, min(MEMORY_MB, free * _SHARE / 1e6))


def check_result(sizes: SizePlan, most: float) -> None:
    """Refuse a result of more than ``most`` 10⁶ pixels.

    Raises:
        ImageError: it is larger; the message says what to type.
    """
    (width, height), (across, down) = sizes.size, sizes.output
    size = across * down / 1e6
    if size > most:
        raise ImageError(
            f"{width}×{height} pixels would become {across}×{down}, {size:.5g} megapixels: results "
            f"of at most {most:g} are made; --max-megapixels {_round_up(size)} (max_megapixels) "
            "allows it"
        )


def check_memory(sizes: SizePlan, taken: Footprint, fields: int, room: int | None) -> None:
    """Refuse an image that takes more memory than can be had, swapped or not.

    Args:
        sizes: of the image.
        taken: by it.
        fields: bytes of what lies between its stages.
        room: bytes that can be had; None where the system does not say.

    Raises:
        ImageError: it does not fit.
    """
    (width, height), needed = sizes.size, taken.peak(fields)
    if room is not None and needed > room:
        raise ImageError(
            f"{width}×{height} pixels take {_bytes(needed)} of memory on the way to a result, and "
            f"{_bytes(room)} can be had here: use a smaller image, or a machine with more memory"
        )


def _round_up(megapixels: float) -> str:
    """Return a limit that lets a size through, short enough to be typed."""
    steps = 100 if megapixels < 10 else 1
    return f"{math.ceil(megapixels * steps) / steps:.10g}"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
