"""One image through the Upscaler, and where its time goes."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from tinysr.runtime import Upscaler
from tinysr.runtime.raster import Pixels
from tinysr.runtime.session import Array

from ..timing import Latency, Rules, summarise

__all__ = ["COLOR", "COPIES", "Split", "photo_like"]

COLOR = "colour fix"
"""Matching colours, clipping, and turning planes into pixels."""

COPIES = "copies"
"""All else: pixels to planes, padding, tiles, blending, and what is stored between stages."""


def photo_like(side: int, seed: int) -> Pixels:
    """Return random pixels ``[side, side, 3]`` in 8 bits: no run depends on what is in them."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


class Split:
    """An open upscaler whose sessions are watched. Each call is one image, end to end."""

    def __init__(self, upscaler: Upscaler, image: Pixels) -> None:
        self.upscaler, self.image = upscaler, image
        names = (*upscaler.sessions, COLOR, COPIES)
        self.parts: dict[str, list[float]] = {part: [] for part in names}
        """Seconds of each stage, of the colour fix and of copies, for every call."""
        self._inside: dict[str, float] = {}

    def __call__(self) -> None:
        """Upscale the image and note what its parts took."""
        self._inside = dict.fromkeys(self.parts, 0.0)
        start = time.perf_counter()
        result = self.upscaler.infer(self.image)
        network = time.perf_counter() - start
        result.pixels()
        whole = time.perf_counter() - start
        self._inside[COPIES] = network - sum(self._inside.values())
        self._inside[COLOR] = whole - network
        for part, seconds in self._inside.items():
            self.parts[part].append(seconds)

    def times(self, rules: Rules) -> dict[str, Latency]:
        """Return what each part took in the calls until now, warm-up left out."""
        return {
            part: summarise(seconds[rules.warmup :], rules.warmup)
            for part, seconds in self.parts.items()
        }

    @contextmanager
    def watch(self) -> Iterator[Split]:
        """Count the time of the upscaler's sessions within the block."""
        sessions = self.upscaler.sessions.values()
        for session in sessions:
            session.on_run = functools.partial(self._count, session.artifact.stage)
        try:
            yield self
        finally:
            for session in sessions:
                session.on_run = None

    def _count(self, stage: str, _feeds: Mapping[str, Array], seconds: float) -> None:
        self._inside[stage] = self._inside.get(stage, 0.0) + seconds
