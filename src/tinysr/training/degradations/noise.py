"""Gaussian and Poisson noise, in colour or grey, each item's from its own generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tinysr.training.degradations.plan import RoundPlan
from tinysr.training.degradations.resize import Sides, mirror

__all__ = ["add_noise", "photon_levels"]

_LUMA = (0.299, 0.587, 0.114)


def add_noise(
    canvas: Tensor,
    sizes: Sequence[Sides],
    plans: Sequence[RoundPlan],
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Add its noise to each item ``[3, H, W]`` in [0, 1], clamp, and mirror it again.

    Noise is drawn on the CPU, item by item and in an item's own size, or it would depend on the
    device and on the rest of the batch.
    """
    noisy = canvas.clone()
    for item, size, plan, generator in zip(noisy, sizes, plans, generators, strict=True):
        part = item[:, : size[0], : size[1]]
        part.copy_(_add_both(part, plan, generator))
    return mirror(noisy, sizes)


def _add_both(item: Tensor, plan: RoundPlan, generator: torch.Generator) -> Tensor:
    shape = (1 if plan.grey else 3, *item.shape[1:])
    if plan.gaussian:
        noise = torch.randn(shape, generator=generator).to(item.device) * plan.gaussian
    elif plan.poisson:
        noise = _poisson(item, generator, grey=plan.grey) * plan.poisson
    else:
        return item
    return (item + noise).clamp(0, 1)


def _poisson(item: Tensor, generator: torch.Generator, *, grey: bool) -> Tensor:
    """Return the deviation of counted photons from the image that sends them."""
    image = item.clamp(0, 1)
    if grey:
        image = torch.einsum("c,chw->hw", image.new_tensor(_LUMA), image)[None]
    # As files have it: 8 bits, of which not all levels need be in use.
    image = (image * 255).round().cpu() / 255
    levels = photon_levels(image)
    counted = torch.poisson(image * levels, generator=generator) / levels
    return (counted - image).to(item.device)


def photon_levels(image: Tensor) -> float:
    """Return how many photons white is worth: the image's levels, rounded up to a power of 2."""
    return float(2 ** (torch.unique(image).numel() - 1).bit_length())
