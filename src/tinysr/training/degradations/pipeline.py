"""A batch through both rounds and the end of the degradation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tinysr.models import SCALE
from tinysr.training.degradations.jpeg import compress_jpeg
from tinysr.training.degradations.noise import add_noise
from tinysr.training.degradations.plan import ItemPlan, RoundPlan, draw_plan
from tinysr.training.degradations.resize import Sides, blur, resize
from tinysr.training.degradations.settings import DegradationSettings

__all__ = ["degrade_batch"]


@torch.no_grad()
def degrade_batch(high: Tensor, keys: Tensor, settings: DegradationSettings) -> Tensor:
    """Map ``[N, 3, H, W]`` in [0, 1], sides divisible by 4, to ``[N, 3, H/4, W/4]`` in [0, 1].

    The result lies on the 8-bit grid, as a decoded file does.

    Args:
        high: on any device.
        keys: ``[N, K]`` integers: each row is the seed of its item.
        settings: how strong it is.
    """
    plans = [draw_plan(settings, np.random.default_rng(key.tolist())) for key in keys]
    generators = [torch.Generator().manual_seed(plan.noise_seed) for plan in plans]
    full = (high.shape[2], high.shape[3])
    low = (full[0] // SCALE, full[1] // SCALE)
    first, second = ([plan.rounds[k] for plan in plans] for k in (0, 1))
    sizes = [full] * len(plans)
    canvas, sizes = _round(
        high, sizes, _targets(first, full, low), first, generators, antialias=settings.antialias
    )
    canvas = _compress(canvas, sizes, [step.quality for step in first])
    # The second round's scale is that of the low resolution.
    targets = [_scale_size(low, step.scale, (1, 1)) for step in second]
    canvas, sizes = _round(canvas, sizes, targets, second, generators, antialias=settings.antialias)
    return _end(canvas, sizes, low, plans, settings)


def _targets(steps: Sequence[RoundPlan], full: Sides, low: Sides) -> list[Sides]:
    # Nothing smaller than the result, or it would be enlarged out of nothing.
    return [_scale_size(full, step.scale, (min(low[0], 8), min(low[1], 8))) for step in steps]


def _scale_size(size: Sides, scale: float, least: Sides) -> Sides:
    return max(round(size[0] * scale), least[0]), max(round(size[1] * scale), least[1])


def _round(
    canvas: Tensor,
    sizes: list[Sides],
    targets: list[Sides],
    steps: Sequence[RoundPlan],
    generators: Sequence[torch.Generator],
    *,
    antialias: bool,
) -> tuple[Tensor, list[Sides]]:
    """Blur, resize and add noise; return the items and their sizes."""
    canvas = blur(canvas, torch.stack([step.kernel for step in steps]), sizes)
    modes = [step.mode for step in steps]
    canvas = resize(canvas, sizes, targets, modes, antialias=antialias).clamp(0, 1)
    return add_noise(canvas, targets, steps, generators), targets


def _compress(canvas: Tensor, sizes: Sequence[Sides], qualities: Sequence[float]) -> Tensor:
    return compress_jpeg(canvas, sizes, torch.tensor(qualities, dtype=torch.float32))


def _end(
    canvas: Tensor,
    sizes: list[Sides],
    low: Sides,
    plans: Sequence[ItemPlan],
    settings: DegradationSettings,
) -> Tensor:
    """Resize to the low resolution, filter and compress, in either order."""
    early = [plan.rounds[1].quality * plan.jpeg_first for plan in plans]
    late = [plan.rounds[1].quality * (not plan.jpeg_first) for plan in plans]
    canvas = _compress(canvas, sizes, early)
    targets, modes = [low] * len(plans), [plan.last_mode for plan in plans]
    canvas = resize(canvas, sizes, targets, modes, antialias=settings.antialias)
    canvas = blur(canvas, torch.stack([plan.last_kernel for plan in plans]), targets)
    return (_compress(canvas, targets, late).clamp(0, 1) * 255).round() / 255
