"""Plan of one item's degradation, drawn from the item's seed alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
from torch import Tensor

from tinysr.training.degradations import kernels
from tinysr.training.degradations.resize import MODES, ResizeMode
from tinysr.training.degradations.settings import DegradationSettings, KernelName, Range, Round
from tinysr.training.spectral import Random

__all__ = ["ItemPlan", "RoundPlan", "draw_plan"]

_NAMES: tuple[KernelName, ...] = get_args(KernelName)


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundPlan:
    """One round of one item."""

    kernel: Tensor
    """``[21, 21]``, of sum 1."""
    scale: float
    mode: ResizeMode
    gaussian: float
    """Deviation of Gaussian noise in [0, 1] images; 0 for none."""
    poisson: float
    """Factor of Poisson noise; 0 for none."""
    grey: bool
    quality: float
    """JPEG's; 0 leaves the item as it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemPlan:
    """All that happens to one item."""

    rounds: tuple[RoundPlan, RoundPlan]
    last_mode: ResizeMode
    """Mode of the resize to the low resolution."""
    last_kernel: Tensor
    """A sinc filter, or the identity."""
    jpeg_first: bool
    """Whether the last JPEG comes before the last resize and filter."""
    noise_seed: int


_NOTHING = RoundPlan(
    kernel=kernels.identity(),
    scale=1.0,
    mode="area",
    gaussian=0.0,
    poisson=0.0,
    grey=False,
    quality=0.0,
)


def draw_plan(settings: DegradationSettings, rng: Random) -> ItemPlan:
    """Draw what happens to an item."""
    single = settings.gentle is not None and rng.random() < settings.single
    if settings.gentle is not None and single:
        rounds = (_NOTHING, _round(settings.gentle, rng))
    else:
        rounds = (_round(settings.first, rng), _round(settings.second, rng))
    ringing = not single and rng.random() < settings.final_sinc
    return ItemPlan(
        rounds=rounds,
        last_mode=_mode(rng),
        last_kernel=_sinc(rng, settings.second.sizes, low=True) if ringing else _NOTHING.kernel,
        jpeg_first=bool(rng.random() < 0.5),
        noise_seed=int(rng.integers(2**62)),
    )


def _round(of: Round, rng: Random) -> RoundPlan:
    kernel = _blur(of, rng) if rng.random() < of.blur else _NOTHING.kernel
    scale, mode = _scale(of, rng), _mode(rng)
    gaussian = rng.random() < of.gaussian
    level = rng.uniform(*(of.noise if gaussian else of.poisson))
    return RoundPlan(
        kernel=kernel,
        scale=scale,
        mode=mode,
        gaussian=level / 255 if gaussian else 0.0,
        poisson=0.0 if gaussian else level,
        grey=bool(rng.random() < of.grey),
        quality=rng.uniform(*of.quality) if rng.random() < of.jpeg else 0.0,
    )


def _scale(of: Round, rng: Random) -> float:
    kind = rng.random()
    if kind < of.up:
        return float(rng.uniform(1, of.resize[1]))
    if kind < of.up + of.down:
        return float(rng.uniform(of.resize[0], 1))
    return 1.0


def _mode(rng: Random) -> ResizeMode:
    return MODES[int(rng.integers(len(MODES)))]


def _blur(of: Round, rng: Random) -> Tensor:
    side = int(rng.choice(of.sizes))
    if rng.random() < of.sinc:
        return _sinc(rng, (side,))
    shares = [of.kernels.get(name, 0.0) for name in _NAMES]
    kind = _NAMES[int(rng.choice(len(_NAMES), p=np.divide(shares, sum(shares))))]
    along = float(rng.uniform(*of.sigma))
    turned = kind.endswith("aniso")
    sigma = (along, float(rng.uniform(*of.sigma)) if turned else along)
    angle = float(rng.uniform(-math.pi, math.pi)) if turned else 0.0
    if kind.startswith("generalized"):
        return kernels.generalized(side, sigma, angle, _beta(of.generalized, rng))
    if kind.startswith("plateau"):
        return kernels.plateau(side, sigma, angle, _beta(of.plateau, rng))
    return kernels.gaussian(side, sigma, angle)


def _beta(ends: Range, rng: Random) -> float:
    """Draw an exponent: as often below 1 as above it, as far as the ends allow."""
    return float(rng.uniform(ends[0], 1) if rng.random() < 0.5 else rng.uniform(1, ends[1]))


def _sinc(rng: Random, sizes: tuple[int, ...], *, low: bool = False) -> Tensor:
    side = int(rng.choice(sizes))
    # Small kernels cut off later, or they would blur more than they ring.
    smallest = math.pi / 3 if low or side < 13 else math.pi / 5
    return kernels.sinc(side, float(rng.uniform(smallest, math.pi)))
