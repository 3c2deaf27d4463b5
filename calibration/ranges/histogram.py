"""Histograms of magnitudes: counts over the exponents of fp32, each cut into eight.

The bits of a positive float are in the order of its size, so that its bin is its exponent and the
first three bits of its mantissa: no logarithm is taken. A bin is at most an eighth wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..traced.half import FP16_OVERFLOWS

__all__ = ["BINS", "ImageRanges", "Seen", "bin_edges", "percentile", "see", "share_between"]

_SUB_BITS = 3
_SHIFT = 23 - _SUB_BITS
_MAGNITUDE = 0x7FFFFFFF

BINS = 256 << _SUB_BITS
"""Bins of a histogram: all that a float can be, without its sign."""

_MOST_SAMPLES = 2**16
"""Values of one tensor that are counted; the largest one is looked for among all."""

Counts = NDArray[np.signedinteger]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What was seen of one operation's values on one image."""

    absmax: float
    """Largest magnitude of all values; infinite or NaN if one of them is."""
    overflowing: int
    """Values that fp16 rounds to infinity, of all."""
    values: int
    counts: Counts
    """``[BINS]``, of evenly spaced values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRanges:
    """What was seen of every operation on one image, a row for each.

    Arrays that are allocated once: thousands of small ones, kept between the large tensors of a
    run, would pin the memory that those leave.
    """

    absmax: NDArray[np.float64]
    overflowing: NDArray[np.int64]
    values: NDArray[np.int64]
    counts: NDArray[np.int32]
    """``[operations, BINS]``."""

    @classmethod
    def empty(cls, rows: int) -> ImageRanges:
        """Return room for so many operations, nothing seen."""
        return cls(
            absmax=np.zeros(rows),
            overflowing=np.zeros(rows, np.int64),
            values=np.zeros(rows, np.int64),
            counts=np.zeros((rows, BINS), np.int32),
        )

    def put(self, row: int, seen: Seen) -> None:
        """Fill in one operation."""
        self.absmax[row], self.counts[row] = seen.absmax, seen.counts
        self.overflowing[row], self.values[row] = seen.overflowing, seen.values


def see(value: Tensor) -> Seen:
    """Measure a tensor in fp32: one pass over it, and one over a sample."""
    flat = value.reshape(-1)
    low, high = (float(end) for end in torch.aminmax(flat))
    absmax = float(np.maximum(-low, high))  # NaN stays
    overflowing = int((flat.abs() >= FP16_OVERFLOWS).sum()) if absmax >= FP16_OVERFLOWS else 0
    sample = flat[:: _stride(flat.numel())].contiguous().view(torch.int32)
    bins = torch.bitwise_and(sample, _MAGNITUDE) >> _SHIFT
    counts = torch.bincount(bins, minlength=BINS).numpy()
    return Seen(absmax=absmax, overflowing=overflowing, values=flat.numel(), counts=counts)


def bin_edges() -> NDArray[np.float64]:
    """Return where each bin begins, ``[BINS]``; the first one is zero's and the tiniest."""
    bits = np.arange(BINS, dtype=np.uint32) << _SHIFT
    with np.errstate(invalid="ignore"):  # the last bins are those of infinity and NaN
        return bits.view(np.float32).astype(np.float64)


def percentile(counts: Counts, percent: float) -> float:
    """Return a size that ``percent`` of the values are under: the upper end of its bin."""
    total = np.cumsum(counts)
    if not total[-1]:
        return 0.0
    place = int(np.searchsorted(total, total[-1] * percent / 100))
    return 0.0 if place == 0 else float(bin_edges()[place + 1])


def share_between(counts: Counts, low: float, high: float) -> float:
    """Return the share of values whose size is in ``[low, high)``, both powers of two."""
    edges = bin_edges()
    inside = (edges >= low) & (edges < high)
    return float(counts[inside].sum() / max(counts.sum(), 1))


def _stride(count: int) -> int:
    """Return a step that visits all channels and columns alike: no factor in common with sides."""
    stride = max(1, count // _MOST_SAMPLES)
    while stride > 1 and gcd(stride, 2 * 3 * 5 * 7) != 1:
        stride += 1
    return stride
