"""Growth of latency and memory with an image's size, and of latency with the number of images.

    python -m tinysr.benchmarks.latency.growth bundles/tinysr-nano --json growth.json

Each size runs in a process of its own. Both should be linear: the fit's largest departure is
printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinysr.progress import Progress, ignore_progress
from tinysr.records import StrictRecord
from tinysr.runtime import Upscaler
from tinysr.terminal import Output, program

from ..record import write_record
from ..runtime.memory import measure as measure_size
from .stages import photo_like

__all__ = ["Growth", "Point", "main", "measure", "measure_departure"]

MEGAPIXELS = (0.25, 1.0, 4.0, 16.0, 64.0)
"""Size of the result, in 10⁶ pixels."""

IMAGES = (1, 2, 4, 8)


class Point(StrictRecord):
    """One size or number of images."""

    size: float
    """Megapixels of the result, or images."""
    seconds: float
    peak_mb: float | None = None
    """Peak memory of the process beside the result, in 10⁶ bytes."""


class Growth(StrictRecord):
    """Two curves."""

    backend: str
    """Backend that the Upscaler chose."""
    sizes: tuple[Point, ...]
    images: tuple[Point, ...]


def measure(
    bundle: str,
    megapixels: Sequence[float] = MEGAPIXELS,
    images: Sequence[int] = IMAGES,
    tell: Progress = ignore_progress,
) -> Growth:
    """Measure both curves.

    Raises:
        UnsupportedError: a process failed.
    """
    sizes: list[Point] = []
    for size in megapixels:
        tell(f"{size:g} megapixels", len(sizes), len(megapixels))
        use = measure_size(bundle, size)
        sizes.append(Point(size=use.megapixels, seconds=use.seconds, peak_mb=use.beside_mb))
    with Upscaler(bundle) as upscaler:
        tile = upscaler.bundle.manifest.tile
        image = photo_like(tile, seed=0)
        upscaler.upscale(image)
        tell("many images", 0, 1)
        many = tuple(_images(upscaler, image, count) for count in images)
        return Growth(backend=str(upscaler.choice), sizes=tuple(sizes), images=many)


def measure_departure(points: Sequence[Point]) -> float:
    """Return how far seconds are from a straight line, as a share, at the worst point.

    The line is fitted to shares, so that small sizes count as much as large ones.
    """
    x = np.array([point.size for point in points])
    y = np.array([point.seconds for point in points])
    lines = np.stack([x, np.ones_like(x)], axis=1) / y[:, None]
    fit, *_ = np.linalg.lstsq(lines, np.ones_like(y), rcond=None)
    return float(np.abs(lines @ fit - 1).max())


def _images(upscaler: Upscaler, image: np.ndarray, count: int) -> Point:
    start = time.perf_counter()
    for _ in range(count):
        upscaler.upscale(image)
    return Point(size=count, seconds=time.perf_counter() - start)


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a bundle, print both curves; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.latency.growth")
    parser.add_argument("bundle")
    parser.add_argument("--megapixels", type=float, nargs="+", default=MEGAPIXELS)
    parser.add_argument("--json", type=Path, help="a file for the measurement")
    options = parser.parse_args(arguments)
    found = measure(options.bundle, options.megapixels)
    if options.json is not None:
        write_record(options.json, found.model_dump(mode="json"))
    for name, points in (("megapixels", found.sizes), ("images", found.images)):
        for point in points:
            memory = "" if point.peak_mb is None else f", {point.peak_mb:.0f} MB beside the result"
            Output().line(f"{point.size:.2f} {name}: {point.seconds:.2f} s{memory}")
        Output().line(f"{name}: at most {measure_departure(points):.0%} from a straight line")
    return 0


if __name__ == "__main__":
    sys.exit(main())
