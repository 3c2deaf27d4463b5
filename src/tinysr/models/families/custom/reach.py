"""Reach of a network: how far from a pixel its result looks, computed from its nodes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from tinysr.errors import UnsupportedError

from .network import Network
from .probe import Probe, probe
from .rules import RULES, Reading
from .rules_of_places import PLACE_RULES, apply_rule, read_resized
from .spread import Side, Spread

__all__ = ["Reach", "check_result", "find_reach"]

_STEP = 960
"""Pixels that the sizes of the two runs divide by: 2⁶ · 3 · 5 suits most strides and windows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """An upper bound of what a pixel's surroundings do to a network's result."""

    halo: int | None
    """Pixels of the image around a part of it that its result depends on; None for all."""
    why: str
    """First node that looks at the whole image; empty if none does."""
    multiple: int
    """Pixels that the sides of an image divide by, as its strides need it."""


def find_reach(network: Network, scale: int, *, multiple: int = 1, enlarged: bool = False) -> Reach:
    """Compute the reach of a network that takes images of any size.

    Args:
        network: the network.
        scale: sides of its result over those of the image.
        multiple: pixels that the sides of an image are known to divide by.
        enlarged: whether the image is enlarged, bicubic, before the network.

    Raises:
        UnsupportedError: it does not take such an image, or gives another size.
    """
    step = math.lcm(_STEP, multiple)
    before = scale if enlarged else 1
    sizes = ((2 * step * before, 3 * step * before), (5 * step * before, 4 * step * before))
    small, large = (probe(network, *size) for size in sizes)
    check_result(network, small, scale // before)
    spreads = _spread(network, small, large, before)
    found = spreads.get(network.ends[1])
    used = {side.pixels for spread in spreads.values() if spread.axes for side in spread.sides}
    least = math.lcm(*used, multiple)
    if found is None or found.why or any(side.whole for side in found.sides):
        why = "" if found is None else found.why
        return Reach(halo=None, why=why or "the whole network", multiple=least)
    if found.axes != (None, None, 0, 1) or any(s.cell != Fraction(1, scale) for s in found.sides):
        return Reach(halo=None, why="the order of the result's axes", multiple=least)
    halo = max(_count_cells(side, scale) for side in found.sides)
    return Reach(halo=halo, why="", multiple=least)


def check_result(network: Network, found: Probe, scale: int) -> None:
    """Refuse a network whose result has another size than its scale says.

    Raises:
        UnsupportedError: it has.
    """
    image, result = (found.shapes[name] for name in network.ends)
    expected = (1, 3, image[2] * scale, image[3] * scale)
    if result != expected:
        raise UnsupportedError(
            f"expected a result of {list(expected)} for an image of {list(image)} at scale "
            f"{scale}, found {list(result)}: state the network's own scale, resize and multiple_of"
        )


def _count_cells(side: Side, scale: int) -> int:
    """Return the pixels of the image around one of its own that all results in it look at."""
    halo = side.least
    for place, (first, last) in enumerate(side.reads):
        halo = max(halo, place // scale - first, last - place // scale)
    return int(halo)


def _spread(network: Network, small: Probe, large: Probe, enlarged: int) -> Mapping[str, Spread]:
    """Return the dependence of every value that is a tensor."""
    start = Spread(axes=(None, None, 0, 1), sides=(Side(), Side()))
    for axis in (2, 3) if enlarged > 1 else ():
        start = read_resized(start, axis, "bicubic", Fraction(enlarged))
    spreads = {network.ends[0]: start}
    rules = {**RULES, **PLACE_RULES}
    for step in network.steps:
        if not step.module:
            continue
        reads = [name for name in step.reads if isinstance(name, str) and name in spreads]
        for gives in step.gives:
            if gives not in small.shapes:
                continue
            module = network.get_submodule(step.module)
            if not reads:
                if any(buffer.numel() > 1 for buffer in module.buffers()):
                    why = f"'{step.call.name}' ({step.call.operator}), a constant for each place"
                    spreads[gives] = start.lose(why, axes=True)
                continue
            reading = Reading(
                name=f"'{step.call.name}' ({step.call.operator})",
                spreads=tuple(spreads[name] for name in reads),
                inputs=tuple((small.shapes[name], large.shapes[name]) for name in reads),
                output=(small.shapes[gives], large.shapes[gives]),
            )
            spreads[gives] = apply_rule(network.get_submodule(step.module), reading, rules)
    return spreads
