"""The offline scenario: all images wait, and only their number per second counts."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

from tinysr.runtime.raster import Pixels

from ..machine import Energy
from ..timing import Rules
from .stages import Split

__all__ = ["measure_offline"]

_FEWEST = 3
"""Images of the offline scenario, at least."""


def measure_offline(split: Split, rules: Rules) -> tuple[float, float | None]:
    """Return images per second when all of them wait, and joules of each.

    As in a folder, an image is finished while the next one is in the network.
    """
    energy, start, images = Energy(), time.perf_counter(), 0
    with ThreadPoolExecutor(1) as finishing:
        waiting: list[Future[Pixels]] = []
        while images < _FEWEST or time.perf_counter() - start < rules.least_seconds / 2:
            waiting.append(finishing.submit(split.upscaler.infer(split.image).pixels))
            images += 1
            if len(waiting) > 2:
                waiting.pop(0).result()
        for image in waiting:
            image.result()
    passed, joules = time.perf_counter() - start, energy.joules()
    return images / passed, None if joules is None else joules / images
