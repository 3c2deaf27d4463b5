"""Pace: how fast the network is on this machine now, and what an image will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinysr.manifest import LATENT_STRIDE, Stage

from .session import Array

__all__ = ["Pace", "measure_pace"]

_LEAST = 0.2
"""Seconds that each stage is timed for at least: a short run says little on a busy machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds that the stages take."""

    latent: float
    """Seconds of encoder and decoder together, for one latent pixel of a window."""
    tile: float
    """Seconds of the transformer, for one tile."""

    def seconds(self, latents: int, tiles: int) -> float:
        """Return what windows of so many latent pixels in all, and so many tiles, take."""
        return latents * self.latent + tiles * self.tile


def measure_pace(run: Callable[[Stage, Array], Array], *, side: int, tile: int, batch: int) -> Pace:
    """Time each stage, after a run that warms it up.

    Args:
        run: runs a stage.
        side: of the window that encoder and decoder are timed on, in latent pixels.
        tile: side of the transformer's tiles, in latent pixels.
        batch: tiles that the transformer gets at once.
    """
    pixels = side * LATENT_STRIDE
    image = np.full((1, 3, pixels, pixels), 0.5, np.float32)
    latents, encoding = _time(run, "encoder", image)
    _, decoding = _time(run, "decoder", latents)
    tiles = np.zeros((batch, latents.shape[1], tile, tile), np.float32)
    _, predicting = _time(run, "transformer", tiles)
    return Pace(latent=(encoding + decoding) / side**2, tile=predicting / batch)


def _time(run: Callable[[Stage, Array], Array], stage: Stage, array: Array) -> tuple[Array, float]:
    result = run(stage, array)
    start = time.perf_counter()
    count = 0
    while (seconds := time.perf_counter() - start) < _LEAST or not count:
        run(stage, array)
        count += 1
    return result, seconds / count
