"""Settings of a degradation: its strengths and probabilities, as data."""

from __future__ import annotations

from typing import Literal

from tinysr.errors import choice_error
from tinysr.records import StrictRecord

__all__ = ["DEGRADATIONS", "DegradationSettings", "KernelName", "Range", "Round", "find_settings"]

Range = tuple[float, float]
"""Ends of what is drawn from uniformly."""

KernelName = Literal["iso", "aniso", "generalized", "generalized_aniso", "plateau", "plateau_aniso"]


class Round(StrictRecord):
    """One round of blur, resize, noise and JPEG."""

    blur: float = 1.0
    """Share of items that are blurred."""
    sinc: float = 0.1
    """Share of the blurs that are a sinc filter."""
    kernels: dict[KernelName, float]
    """Share of each kind of the other blurs; together 1."""
    sizes: tuple[int, ...] = tuple(range(7, 22, 2))
    """Sides of a kernel, in pixels, each as likely as another."""
    sigma: Range
    """Deviation of the blur along each axis, in pixels."""
    generalized: Range = (0.5, 4.0)
    """Exponent beta of generalized Gaussian kernels; 1 is a Gaussian."""
    plateau: Range = (1.0, 2.0)
    """The same of plateau-shaped kernels."""
    up: float
    down: float
    """Shares of items that are enlarged and reduced; the others keep their size."""
    resize: Range
    """Smallest and largest scale."""
    gaussian: float = 0.5
    """Share of items with Gaussian noise; the others have Poisson noise."""
    noise: Range
    """Deviation of Gaussian noise, in 1/255."""
    poisson: Range
    """Factor of Poisson noise; 1 is that of as many photons as the image has levels."""
    grey: float = 0.4
    """Share of items with the same noise in all channels."""
    jpeg: float = 1.0
    """Share of items that are compressed."""
    quality: Range
    """JPEG's, in 1 to 100."""


class DegradationSettings(StrictRecord):
    """How high-resolution images become low-resolution ones."""

    first: Round
    second: Round
    final_sinc: float
    """Share of items with a sinc filter at the end, before or after the last JPEG."""
    single: float = 0.0
    """Share of items with one round alone, ``gentle``."""
    gentle: Round | None = None
    antialias: bool = False
    """Whether bilinear and bicubic reductions filter first, as image editors do."""


_PUBLISHED: dict[KernelName, float] = {
    "iso": 0.45,
    "aniso": 0.25,
    "generalized": 0.12,
    "generalized_aniso": 0.03,
    "plateau": 0.12,
    "plateau_aniso": 0.03,
}

_REAL_ESRGAN = DegradationSettings(
    first=Round(
        kernels=_PUBLISHED,
        sigma=(0.2, 3.0),
        up=0.2,
        down=0.7,
        resize=(0.15, 1.5),
        noise=(1, 30),
        poisson=(0.05, 3.0),
        quality=(30, 95),
    ),
    second=Round(
        blur=0.8,
        kernels=_PUBLISHED,
        sigma=(0.2, 1.5),
        up=0.3,
        down=0.4,
        resize=(0.3, 1.2),
        noise=(1, 25),
        poisson=(0.05, 2.5),
        quality=(30, 95),
    ),
    final_sinc=0.8,
)

_MILD = DegradationSettings(
    first=Round(
        kernels=_PUBLISHED,
        sigma=(0.2, 2.0),
        up=0.1,
        down=0.6,
        resize=(0.45, 1.2),
        gaussian=0.6,
        noise=(0.5, 10),
        poisson=(0.02, 0.6),
        jpeg=0.8,
        quality=(60, 95),
    ),
    second=Round(
        kernels=_PUBLISHED,
        sigma=(0.1, 1.0),
        up=0.1,
        down=0.3,
        resize=(0.6, 1.2),
        gaussian=0.6,
        noise=(0, 5),
        poisson=(0.0, 0.3),
        jpeg=0.9,
        quality=(45, 95),
    ),
    final_sinc=0.2,
    single=0.4,
    gentle=Round(
        sinc=0,
        kernels={"iso": 1.0},
        sigma=(0.1, 0.8),
        up=0,
        down=0,
        resize=(1, 1),
        gaussian=0.7,
        noise=(0, 3),
        poisson=(0.0, 0.2),
        jpeg=0.6,
        quality=(78, 96),
    ),
    antialias=True,
)

DEGRADATIONS: dict[str, DegradationSettings] = {"mild": _MILD, "real-esrgan": _REAL_ESRGAN}
"""Degradations by the name that configs give: what a small model can undo, and the published
strengths."""


def find_settings(name: str) -> DegradationSettings:
    """Return the settings of a name.

    Raises:
        UnsupportedError: there are none.
    """
    if name not in DEGRADATIONS:
        raise choice_error("degradation", name, DEGRADATIONS)
    return DEGRADATIONS[name]
