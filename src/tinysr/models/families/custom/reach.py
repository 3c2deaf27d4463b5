"""Reach of a network: how far from a pixel its result looks, computed from its nodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tinysr.errors import UnsupportedError

from .network import Network, Step
from .probe import Probe, probe
from .rules import RULES, Reading
from .rules_of_places import PLACE_RULES, apply_rule, read_resized
from .spread import Side, Spread

__all__ = ["Reach", "check_result", "find_reach"]

_STEP = 960
"""Pixels that the sizes of the two runs divide by: 2⁶ · 3 · 5 suits most strides and windows."""


_ODD = ((7, 11), (13, 9))
"""Multiples of what sides divide by, at which the network must work, too."""

_STATE_IT = "state multiple_of, the pixels that sides divide by"

_TIMES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Multiples of what the strides tell that are tried in turn."""


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
    before = scale if enlarged else 1
    step = math.lcm(_STEP, multiple) * before
    try:
        small, large = (probe(network, a * step, b * step) for a, b in ((2, 3), (5, 4)))
    except UnsupportedError as error:
        raise UnsupportedError(f"{error}: {_STATE_IT}, if it needs that") from error
    check_result(network, small, scale // before)
    spreads = _spread(network, small, large, before)
    used = {side.pixels for spread in spreads.values() if spread.axes for side in spread.sides}
    least, moving = _find_multiple(network, small, (scale, before), math.lcm(*used, multiple))
    found = _judge(spreads.get(network.ends[1]), scale, least)
    if found.halo is not None and moving:
        return Reach(halo=None, why=moving, multiple=least)
    return found


def _judge(found: Spread | None, scale: int, multiple: int) -> Reach:
    """Return the reach of a result that depends on the image so."""
    if found is None or found.why or any(side.whole for side in found.sides):
        why = "" if found is None else found.why
        return Reach(halo=None, why=why or "the whole network", multiple=multiple)
    if found.axes != (None, None, 0, 1) or any(s.cell != Fraction(1, scale) for s in found.sides):
        return Reach(halo=None, why="the order of the result's axes", multiple=multiple)
    halo = max(_count_cells(side, scale) for side in found.sides)
    return Reach(halo=halo, why="", multiple=multiple)


def _find_multiple(
    network: Network, known: Probe, scales: tuple[int, int], least: int
) -> tuple[int, str]:
    """Return what the sides of an image divide by, and a node that pads by more or less at some.

    Strides tell most of it. The rest is tried: a network that pads an image to what it needs pads
    it always the same where its sides divide by that; others take no such image.

    Args:
        network: the network.
        known: its run on sides that divide by almost anything.
        scales: sides of the result over the image's, and what the image is enlarged by before.
        least: what the sides divide by at least.

    Raises:
        UnsupportedError: no multiple that is tried works.
    """
    scale, before = scales
    moving: tuple[int, str] | None = None
    problem: UnsupportedError | None = None
    for times in _TIMES:
        multiple = least * times * before
        try:
            odd = [probe(network, a * multiple, b * multiple) for a, b in _ODD]
            for found in odd:
                check_result(network, found, scale // before)
        except UnsupportedError as error:
            problem = problem or error
            continue
        node = _find_moving(network, [known, *odd])
        if not node:
            return least * times, ""
        moving = moving or (least * times, node)
    if moving is None:
        raise UnsupportedError(f"{problem}: {_STATE_IT}")
    return moving


def _find_moving(network: Network, probes: Sequence[Probe]) -> str:
    """Return a node that pads by more or less, depending on the size; empty if none does."""
    for step in network.steps:
        names = [name for name in step.reads if isinstance(name, str)]
        moves = any(len({probe.sizes.get(name) for probe in probes}) > 1 for name in names)
        if step.call.operator == "Pad" and step.module and moves:
            return f"'{step.call.name}' (Pad), whose width depends on the image's size"
    return ""


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
            f"{scale}, found {list(result)!s:.80}: state the network's own scale, "
            "resize and multiple_of"
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
                moving=_moves(step, small, large),
                sizes=_read_sizes(step, small, large),
            )
            spreads[gives] = apply_rule(network.get_submodule(step.module), reading, rules)
    return spreads


def _moves(step: Step, small: Probe, large: Probe) -> bool:
    """Tell whether a node reads sizes that are not the same for both images."""
    names = [name for name in step.reads if isinstance(name, str)]
    return any(small.sizes.get(name) != large.sizes.get(name) for name in names)


def _read_sizes(step: Step, small: Probe, large: Probe) -> tuple[int, ...] | None:
    """Return the sizes that a node reads, if they are whole numbers, and the same for both."""
    names = [name for name in step.reads if isinstance(name, str) and name in small.sizes]
    if len(names) != 1 or _moves(step, small, large):
        return None
    found = [size for size in small.sizes[names[0]] if isinstance(size, int)]
    return tuple(found) if len(found) == len(small.sizes[names[0]]) else None
