"""Pace: how fast the stages are on this machine now, and what an image will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..session import Array
from .work import ImageWork

__all__ = ["Pace", "measure_seconds"]

_LEAST = 0.2
"""Seconds that each stage is timed for at least: a short run says little on a busy machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds that the stages take for each of their cells, surroundings included, by name."""

    cell: Mapping[str, float]

    def seconds(self, work: ImageWork) -> float:
        """Return what an image takes that is divided so."""
        return sum(self.cell[part.stage.name] * part.cells for part in work.parts)


def measure_seconds(run: Callable[[Array], Array], array: Array) -> tuple[Array, float]:
    """Return what a stage makes of an array, and its seconds, after a run that warms it up."""
    result = run(array)
    start = time.perf_counter()
    count = 0
    while (seconds := time.perf_counter() - start) < _LEAST or not count:
        run(array)
        count += 1
    return result, seconds / count
