"""Proof of a halo: what a window gives with its surroundings is what the whole image gives."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tinysr.errors import GateError

from .nodes import Node

__all__ = ["PROOF_TOLERANCE", "prove_reach"]

PROOF_TOLERANCE = 1e-6
"""Largest difference of a window from the whole, relative to the largest value, in double
precision: rounding is far below it, and what is left out of a window is far above."""

_MOST_HALO = 64
"""Widest halo that is proven in rows and columns at once; wider ones are in one, then the other,
on strips, which says the same and takes a fraction of the memory."""

_PART = 8
"""Pixels along a window's own part, at least."""


def prove_reach(model: nn.Module, *, halo: int, align: int, scale: int, name: str) -> float:
    """Hold windows of seeded noise against the same parts of the whole.

    Windows lie in corners, at edges and inside, and begin at multiples of ``align``.

    Args:
        model: maps ``[N, 3, H, W]`` to ``[N, 3, sH, sW]``.
        halo: pixels around a window that are claimed to be enough.
        align: pixels that the sides of windows divide by.
        scale: sides of the result over those of the image.
        name: of the model, for messages.

    Returns:
        The largest difference, relative to the largest value of the whole.

    Raises:
        GateError: it is more than :data:`PROOF_TOLERANCE`, or the result is not finite.
    """
    halo_used = -(-halo // align) * align
    part = -(-_PART // align) * align
    short, long = 3 * part, 2 * halo_used + 4 * part
    shapes = [(long - part, long)] if halo_used <= _MOST_HALO else [(short, long), (long, short)]
    double = _make_double(model)
    with torch.inference_mode():
        worst = max(_compare(double, shape, (part, halo_used, align), scale) for shape in shapes)
    if worst == math.inf:
        raise GateError(
            f"{name}: it gives values that are not finite for an image of noise: check its weights "
            "and the range, mean and std of its input"
        )
    if not worst <= PROOF_TOLERANCE:
        raise GateError(
            f"{name}: windows with a halo of {halo} pixels differ from the whole by {worst:.1e} of "
            f"its largest value, expected {PROOF_TOLERANCE:.0e} at most: state a larger halo, or "
            'division = "tiles"'
        )
    return worst


def _compare(
    model: nn.Module, sides: tuple[int, int], window: tuple[int, int, int], scale: int
) -> float:
    """Return the largest difference of windows from an image, relative to its largest value."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, *sides, generator=generator, dtype=torch.float64)
    whole: Tensor = model(image)
    largest, differences = float(whole.abs().max()), []
    for top, bottom, first, last in _list_windows(sides[0], *window):
        for left, right, start, end in _list_windows(sides[1], *window):
            found: Tensor = model(image[:, :, top:bottom, left:right].contiguous())
            rows = slice((first - top) * scale, (last - top) * scale)
            columns = slice((start - left) * scale, (end - left) * scale)
            expected = whole[:, :, first * scale : last * scale, start * scale : end * scale]
            differences.append(float((found[:, :, rows, columns] - expected).abs().max()))
    finite = all(map(math.isfinite, (largest, *differences)))
    return max(differences) / largest if finite else math.inf


def _make_double(model: nn.Module) -> nn.Module:
    """Return a copy that computes in double precision."""
    model = copy.deepcopy(model).double()
    for module in model.modules():
        if isinstance(module, Node):
            module.compute = torch.float64
    return model


def _list_windows(
    side: int, part: int, halo: int, align: int
) -> Iterator[tuple[int, int, int, int]]:
    """Yield where windows begin and end, and their own parts: at both edges, and inside.

    A side that is too short for a window inside is taken whole.
    """
    inside = halo + align
    if inside + part + halo > side:
        yield 0, side, 0, side
        return
    for first in (0, inside, side - part):
        yield max(0, first - halo), min(side, first + part + halo), first, first + part
