"""The store: a large image between the network and the colour fix.

The colour fix has to see the whole image before it changes a pixel, so the network's output waits
here. Images for 8-bit results wait in 16 bits once they are large, all others as they are. What
was taken is freed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .geometry import Planes

__all__ = ["Moments", "Store"]

_STEPS = 65535
"""Steps of the range between the least and the largest value of a part, stored in 16 bits."""


class Moments:
    """Mean and deviation of each channel, over parts that come one after the other."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = np.zeros(channels)
        self._squares = np.zeros(channels)

    def add(self, values: Planes) -> None:
        """Add a part ``[C, h, w]``."""
        count = values.shape[1] * values.shape[2]
        total = self.count + count
        for channel, plane in enumerate(values):
            mean = float(plane.mean())
            centred = np.subtract(plane, np.float32(mean)).reshape(-1)
            rest = float(centred.mean())  # of the mean's own rounding
            mean += rest
            squares = float(np.dot(centred, centred)) - count * rest**2
            away = mean - self.mean[channel]
            self.mean[channel] += away * count / total
            self._squares[channel] += squares + away**2 * self.count * count / total
        self.count = total

    def deviation(self, epsilon: float) -> NDArray[np.float64]:
        """Return the square root of the unbiased variance plus ``epsilon``, per channel."""
        variance = np.maximum(self._squares, 0) / max(self.count - 1, 1)
        deviation: NDArray[np.float64] = np.sqrt(variance + epsilon)
        return deviation


@dataclass(frozen=True, slots=True)
class _Part:
    """Columns of a band, and how their 16 bits are read."""

    columns: slice
    low: np.float32
    step: np.float32


class _Band:
    """Rows that are filled from left to right."""

    def __init__(self, first: int, last: int, shape: tuple[int, int], *, compact: bool) -> None:
        self.first, self.last = first, last
        channels, width = shape
        dtype = np.uint16 if compact else np.float32
        self._values = np.empty((channels, last - first, width), dtype)
        self._parts: list[_Part] = []

    def put(self, columns: slice, values: Planes, low: float, high: float) -> None:
        if self._values.dtype == np.float32:
            self._values[:, :, columns] = values
            return
        step = np.float32((high - low) / _STEPS) or np.float32(1)
        scaled = np.subtract(values, np.float32(low))
        scaled /= step
        scaled += np.float32(0.5)  # the cast rounds down
        np.minimum(scaled, np.float32(_STEPS), out=scaled)
        self._values[:, :, columns] = scaled
        self._parts.append(_Part(columns, np.float32(low), step))

    def get(self, start: int, stop: int, into: Planes) -> None:
        rows = slice(start - self.first, stop - self.first)
        if self._values.dtype == np.float32:
            into[:] = self._values[:, rows]
            return
        for part in self._parts:
            target = into[:, :, part.columns]
            np.multiply(self._values[:, rows, part.columns], part.step, out=target)
            target += part.low


class Store:
    """Planes ``[C, H, W]`` that are put in window by window, and taken row by row."""

    def __init__(self, channels: int, height: int, width: int, *, compact: bool) -> None:
        """Make an empty store.

        Args:
            channels: C.
            height: H.
            width: W.
            compact: keep 16 bits of each value: about 1/65000 of the range of its window.
        """
        self.shape = (channels, height, width)
        self.moments = Moments(channels)
        """Moments of all values that were put in."""
        self._compact = compact
        self._bands: list[_Band] = []

    @property
    def nbytes(self) -> int:
        """Bytes of the full store."""
        channels, height, width = self.shape
        return channels * height * width * (2 if self._compact else 4)

    def put(self, row: int, column: int, values: Planes) -> bool:
        """Put in a part ``[C, h, w]``; what lies outside is left out.

        Parts come row by row, from left to right; those of a row are equally high.

        Returns:
            Whether every value is finite.
        """
        channels, height, width = self.shape
        values = values[:, : height - row, : width - column]
        if not values.size:
            return True
        values = np.ascontiguousarray(values)
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):  # either is NaN if any value is
            return False
        self.moments.add(values)
        if not self._bands or self._bands[-1].first != row:
            last = row + values.shape[1]
            self._bands.append(_Band(row, last, (channels, width), compact=self._compact))
        self._bands[-1].put(slice(column, column + values.shape[2]), values, low, high)
        return True

    def take(self, start: int, stop: int) -> Planes:
        """Return rows ``[C, stop - start, W]``, and free all bands that end before them.

        Later calls can't ask for rows before ``start``.
        """
        while self._bands and self._bands[0].last <= start:
            self._bands.pop(0)
        channels, _, width = self.shape
        rows: Planes = np.empty((channels, stop - start, width), np.float32)
        for band in self._bands:
            first, last = max(start, band.first), min(stop, band.last)
            if first < last:
                band.get(first, last, rows[:, first - start : last - start])
        return rows
