"""Metrics of agreement: how far an array is from its reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.decibels import psnr_of_mse
from tinysr.errors import UnsupportedError, require
from tinysr.records import StrictRecord

__all__ = ["Metrics", "cosine", "measure", "psnr_db", "ssim", "value_range"]

Array = NDArray[np.floating[Any]]

_SSIM_WINDOW = 7  # scikit-image's default, and the smallest side that it can measure


class Metrics(StrictRecord):
    """One array held against its reference.

    All numbers are null when the array is not finite: none of them would mean anything.
    """

    finite: bool
    """No value is NaN or infinite. Checked first; nothing passes without it."""
    identical: bool
    """Equal bit for bit."""
    peak: float
    """Range that PSNR is relative to: 1 for images, the reference's range for latents."""
    psnr_db: float | None = None
    """Null when identical (it would be infinite) or not finite."""
    max_abs: float | None = None
    mean_abs: float | None = None
    cosine: float | None = None
    """Cosine of the angle between the two as vectors, in [-1, 1]."""
    ssim: float | None = None
    """Structural similarity, in [-1, 1]; images only."""

    def passes(self, gate_db: float) -> bool:
        """Say whether it is finite, and exact to ``gate_db`` decibels."""
        if not self.finite:
            return False
        return self.identical or (self.psnr_db is not None and self.psnr_db >= gate_db)

    @property
    def rank(self) -> float:
        """A number to sort by, worst first: not finite, then by PSNR, identical last."""
        if not self.finite:
            return -math.inf
        return math.inf if self.psnr_db is None else self.psnr_db


def measure(
    found: Array, expected: Array, *, peak: float | None = None, images: bool = False
) -> Metrics:
    """Hold ``found`` against ``expected``, both of one shape, in double precision.

    Args:
        found: what a backend returned.
        expected: what the eager model returned; must be finite.
        peak: what PSNR is relative to; by default the range of ``expected``.
        images: both are ``[3, H, W]``, about [0, 1]: the peak is 1, and SSIM is measured too.

    Raises:
        UnsupportedError: the shapes differ, or the reference itself is not finite.
    """
    if found.shape != expected.shape:
        raise UnsupportedError(
            f"expected an output of shape {list(expected.shape)}, found {list(found.shape)}"
        )
    if not np.isfinite(expected).all():
        raise UnsupportedError("the eager reference is not finite: nothing can be compared with it")
    if peak is None:
        peak = 1.0 if images else value_range(expected)
    if not np.isfinite(found).all():
        return Metrics(finite=False, identical=False, peak=peak)
    a, b = found.astype(np.float64), expected.astype(np.float64)
    error = np.abs(a - b)
    return Metrics(
        finite=True,
        identical=bool(np.array_equal(found, expected)),
        peak=peak,
        psnr_db=psnr_db(a, b, peak),
        max_abs=float(error.max()),
        mean_abs=float(error.mean()),
        cosine=cosine(a, b),
        ssim=ssim(a, b) if images else None,
    )


def psnr_db(found: Array, expected: Array, peak: float) -> float | None:
    """Return the peak signal-to-noise ratio in dB; None when the two are equal."""
    mse = float(np.mean(np.square(found.astype(np.float64) - expected.astype(np.float64))))
    return None if mse == 0 else psnr_of_mse(mse, peak)


def cosine(found: Array, expected: Array) -> float:
    """Return the cosine between the two as vectors; 1 when both are zero."""
    a, b = (x.astype(np.float64).ravel() for x in (found, expected))
    # Sums and not BLAS, whose last digits depend on the number of threads.
    lengths = math.sqrt(float(np.sum(a * a)) * float(np.sum(b * b)))
    if lengths == 0:
        return 1.0 if np.array_equal(a, b) else 0.0
    return float(np.clip(np.sum(a * b) / lengths, -1, 1))


def ssim(found: Array, expected: Array) -> float | None:
    """Return the structural similarity of two images ``[3, H, W]``; None under 7 pixels."""
    if min(found.shape[1:]) < _SSIM_WINDOW:
        return None
    skimage = require("skimage.metrics", extra="parity")
    return float(skimage.structural_similarity(found, expected, data_range=1.0, channel_axis=0))


def value_range(expected: Array) -> float:
    """Return max − min of the values, or 1 for a constant array."""
    span = float(expected.max()) - float(expected.min())
    return span if span > 0 else 1.0
