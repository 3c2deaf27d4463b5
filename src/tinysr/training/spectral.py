"""Random fields and blurs made in the frequency domain, where both cost one FFT pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Array", "Random", "as_array", "blur", "cut_frequencies", "field"]

Array = NDArray[np.float32]
"""An image ``[H, W]`` or ``[H, W, C]``."""

Random = np.random.Generator


def as_array(values: ArrayLike) -> Array:
    """Return values as float32."""
    return np.asarray(values, dtype=np.float32)


def _frequencies(rows: int, columns: int) -> tuple[Array, Array]:
    """Return the y and x frequencies of ``rfft2``'s bins, in cycles per pixel."""
    y = np.fft.fftfreq(rows).astype(np.float32)[:, None]
    x = np.fft.rfftfreq(columns).astype(np.float32)[None]
    return y, x


def field(
    rng: Random, side: int, *, alpha: float, stretch: float = 1.0, angle: float = 0.0
) -> Array:
    """Return Gaussian noise ``[side, side]`` with amplitude 1/f^alpha, mean 0 and deviation 1.

    ``stretch`` over 1 draws its grain out along ``angle`` (radians).
    """
    y, x = _frequencies(side, side)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = -x * np.sin(angle) + y * np.cos(angle)
    radius = np.sqrt((along * stretch) ** 2 + (across / stretch) ** 2)
    radius[0, 0] = np.inf
    noise = np.fft.rfft2(rng.standard_normal((side, side), dtype=np.float32))
    grain = np.fft.irfft2(noise * radius ** np.float32(-alpha), s=(side, side))
    return as_array(grain / (grain.std() + 1e-8))


def _gaussian(rows: int, columns: int, sigma: tuple[float, float], angle: float = 0.0) -> Array:
    """Return the transfer function of a Gaussian blur with deviations ``sigma``, in pixels."""
    y, x = _frequencies(rows, columns)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = -x * np.sin(angle) + y * np.cos(angle)
    power = (sigma[0] * along) ** 2 + (sigma[1] * across) ** 2
    return as_array(np.exp(-2 * np.pi**2 * power))


def _low_pass(rows: int, columns: int, cutoff: float) -> Array:
    """Return the transfer function of a sinc filter: it rings at edges, as sharpened images do."""
    y, x = _frequencies(rows, columns)
    # A short slope in place of the cliff leaves a ring or two, not the whole image.
    return (1 / (1 + np.exp((np.hypot(y, x) - cutoff) / 0.02))).astype(np.float32)


def blur(image: Array, sigma: tuple[float, float], angle: float = 0.0) -> Array:
    """Blur ``[H, W, C]`` by a Gaussian of deviations ``sigma``, in pixels, borders mirrored."""
    margin = int(np.ceil(3 * max(sigma)))
    rows, columns = image.shape[0] + 2 * margin, image.shape[1] + 2 * margin
    return _filter(image, _gaussian(rows, columns, sigma, angle), margin)


def cut_frequencies(image: Array, cutoff: float) -> Array:
    """Cut ``[H, W, C]`` off above ``cutoff`` cycles per pixel, mirrored at the borders."""
    margin = 8
    return _filter(
        image, _low_pass(image.shape[0] + 2 * margin, image.shape[1] + 2 * margin, cutoff), margin
    )


def _filter(image: Array, transfer: Array, margin: int) -> Array:
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    spectrum = np.fft.rfft2(padded, axes=(0, 1)) * transfer[..., None]
    full = np.fft.irfft2(spectrum, s=padded.shape[:2], axes=(0, 1))
    rows, columns = image.shape[:2]
    return full[margin : margin + rows, margin : margin + columns].astype(np.float32)
