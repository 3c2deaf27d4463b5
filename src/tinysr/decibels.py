"""Peak signal-to-noise ratio of a mean squared error."""

from __future__ import annotations

import math

__all__ = ["psnr_of_mse"]


def psnr_of_mse(mse: float, peak: float = 1.0) -> float:
    """Return the PSNR in dB of a mean squared error over 0, for values up to ``peak``."""
    return 10 * math.log10(peak * peak / mse)
