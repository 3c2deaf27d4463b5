"""Proof of a halo: what a window gives with its surroundings is what the whole image gives."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tinysr.errors import GateError

from .nodes import Node

__all__ = ["PROOF_TOLERANCE", "prove_reach"]

PROOF_TOLERANCE = 1e-6
"""Largest difference of a window from the whole, relative to the largest value, in double
precision: rounding is far below it, and what is left out of a window is far above."""

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
        GateError: it is more than :data:`PROOF_TOLERANCE`.
    """
    halo_used = -(-halo // align) * align
    part = -(-_PART // align) * align
    sides = (2 * halo_used + 3 * part, 2 * halo_used + 4 * part)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, *sides, generator=generator, dtype=torch.float64)
    model = _make_double(model)
    worst = 0.0
    with torch.inference_mode():
        whole: Tensor = model(image)
        largest = float(whole.abs().max())
        for rows in _list_windows(sides[0], part, halo_used, align):
            for columns in _list_windows(sides[1], part, halo_used, align):
                (top, bottom, first, last), (left, right, start, end) = rows, columns
                found = model(image[:, :, top:bottom, left:right].contiguous())
                inner = found[
                    :,
                    :,
                    (first - top) * scale : (last - top) * scale,
                    (start - left) * scale : (end - left) * scale,
                ]
                expected = whole[:, :, first * scale : last * scale, start * scale : end * scale]
                worst = max(worst, float((inner - expected).abs().max()) / largest)
    if not worst <= PROOF_TOLERANCE:
        raise GateError(
            f"{name}: windows with a halo of {halo} pixels differ from the whole by {worst:.1e} of "
            f"its largest value, expected {PROOF_TOLERANCE:.0e} at most: state a larger halo, or "
            'division = "tiles"'
        )
    return worst


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
    """Yield where windows begin and end, and their own parts: at both edges and inside."""
    inside = halo + align if halo + align + part + halo <= side else halo
    for first in (0, inside, side - part):
        yield max(0, first - halo), min(side, first + part + halo), first, first + part
