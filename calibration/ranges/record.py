"""Measured ranges as data: what ``ranges.json`` holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from tinysr.errors import CalibrationError
from tinysr.manifest import Source
from tinysr.records import StrictRecord

from ..traced.half import FP16_MAX
from ..traced.trace import Op
from .histogram import BINS, ImageRanges, bin_edges, percentile, share_between

__all__ = [
    "PERCENTS",
    "ImageEntry",
    "ModuleRange",
    "OpRange",
    "Ranges",
    "Totals",
    "load_ranges",
    "module_ranges",
]

PERCENTS = (50.0, 90.0, 99.0, 99.9, 99.99)

_FLUSHED_BELOW = 2.0**-25
"""Half of the smallest fp16 number: what is not above it becomes zero."""

_NORMAL_FROM = 2.0**-14
"""The smallest fp16 number with all its digits."""


class ImageEntry(StrictRecord):
    """An image that was measured."""

    name: str
    sha256: str
    """Hash of the image's pixels and their shape."""


class OpRange(StrictRecord):
    """The sizes of an operation's values over all images."""

    name: str
    """``module:operation``, with ``.step`` for one inside it."""
    module: str
    unit: str | None
    """The module whose type it has; null for what has none of its own."""
    reads: tuple[str, ...]
    absmax: float
    image: str
    """The image of the largest value."""
    percentiles: dict[str, float]
    """Upper bounds of the size of so many percent of the values, exact to an eighth."""
    flushed: float
    """Share of the values that are not zero and become zero in fp16."""
    subnormal: float
    """Share of the values, not zero, that lose digits in fp16 because they are small."""
    overflowing: float
    """Share of the values that become infinite in fp16."""
    histogram: dict[str, int]
    """Sampled values per bin; a key is where the bin begins, "0" counts zeros and the tiniest."""

    @property
    def headroom(self) -> float:
        """Powers of two between the largest value and fp16's; negative past it."""
        return math.log2(FP16_MAX / self.absmax) if self.absmax else math.inf


class ModuleRange(StrictRecord):
    """The largest value that a module computes or reads: all of it must fit in its type."""

    module: str
    absmax: float
    op: str
    """Operation that has the value: one of the module's own, or one whose value it reads."""
    read: bool
    """It is a value that the module reads, and another one computes."""
    image: str
    headroom: float
    """Powers of two between it and fp16's largest value."""


class Ranges(StrictRecord):
    """A calibration."""

    version: Literal[1] = 1
    source: Source
    tile: int
    seed: int
    images: tuple[ImageEntry, ...]
    ops: tuple[OpRange, ...]
    modules: tuple[ModuleRange, ...]
    """Modules in the model's order."""


def load_ranges(path: Path) -> Ranges:
    """Read a calibration.

    Raises:
        CalibrationError: it can't be read, or does not fit.
    """
    try:
        return Ranges.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CalibrationError(f"{path}: expected measured ranges: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise CalibrationError(f"{path}: at {place}: {first['msg']}") from error


class Totals:
    """What was seen on all images so far; each is forgotten once it was added."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self._ops = ops
        self._absmax = np.full(len(ops), -1.0)
        self._image = np.zeros(len(ops), np.int64)
        self._overflowing = np.zeros(len(ops), np.int64)
        self._values = np.zeros(len(ops), np.int64)
        self._counts = np.zeros((len(ops), BINS), np.int64)
        self.images: list[ImageEntry] = []

    def add(self, image: ImageEntry, measured: ImageRanges) -> None:
        """Add an image."""
        larger = measured.absmax > self._absmax
        self._absmax[larger] = measured.absmax[larger]
        self._image[larger] = len(self.images)
        self._overflowing += measured.overflowing
        self._values += measured.values
        self._counts += measured.counts
        self.images.append(image)

    def ranges(self) -> tuple[OpRange, ...]:
        """Return the range of each operation."""
        return tuple(self._range(row, op) for row, op in enumerate(self._ops))

    def _range(self, row: int, op: Op) -> OpRange:
        counts, edges, absmax = self._counts[row], bin_edges(), float(self._absmax[row])
        return OpRange(
            name=op.name,
            module=op.module,
            unit=op.unit,
            reads=op.reads,
            absmax=absmax,
            image=self.images[self._image[row]].name,
            percentiles={f"{p:g}": min(percentile(counts, p), absmax) for p in PERCENTS},
            flushed=share_between(counts, float(edges[1]), _FLUSHED_BELOW),
            subnormal=share_between(counts, _FLUSHED_BELOW, _NORMAL_FROM),
            overflowing=float(self._overflowing[row] / self._values[row]),
            histogram={f"{edges[bin_]:.6g}": int(counts[bin_]) for bin_ in np.flatnonzero(counts)},
        )


def module_ranges(ops: Sequence[OpRange], units: Sequence[str]) -> tuple[ModuleRange, ...]:
    """Return what every module that a plan can keep computes or reads at most."""
    by_name = {op.name: op for op in ops}
    largest: dict[str, tuple[OpRange, bool]] = {}
    for op in ops:
        if op.unit is None:
            continue
        read = [(by_name[name], True) for name in op.reads if by_name[name].unit != op.unit]
        for found in ((op, False), *read):
            if op.unit not in largest or found[0].absmax > largest[op.unit][0].absmax:
                largest[op.unit] = found
    return tuple(
        ModuleRange(
            module=unit,
            absmax=op.absmax,
            op=op.name,
            read=read,
            image=op.image,
            headroom=op.headroom if op.absmax else 0.0,
        )
        for unit in units
        if unit in largest
        for op, read in [largest[unit]]
    )
