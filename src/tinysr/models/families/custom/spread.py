"""Dependence of a value on the image: along which axes, and from which pixel to which.

Along a side of the image, the places of a value repeat: after so many places, all that they read
lies so many pixels further. So the pixels that the places of one period read say it all, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

__all__ = ["Side", "Spread", "merge"]

_MOST_PLACES = 4096
"""Longest period: beyond it a value counts as depending on everything."""

_WHOLE = (-math.inf, math.inf)


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """Dependence along one side of the image."""

    pixels: int = 1
    """Pixels from one period to the next."""
    reads: tuple[tuple[float, float], ...] = ((0, 0),)
    """First and last pixel that each place of a period depends on; infinite for all of them."""
    least: float = 0
    """Pixels beyond a window's part that must be there where it ends at the image's edge, because
    the edge is mirrored."""

    @property
    def cell(self) -> Fraction:
        """Pixels of the image from one place to the next."""
        return Fraction(self.pixels, len(self.reads))

    @property
    def whole(self) -> bool:
        """Whether everything counts."""
        return _WHOLE in self.reads

    def at(self, place: int) -> tuple[float, float]:
        """Return the first and the last pixel that a place depends on."""
        period, phase = divmod(place, len(self.reads))
        first, last = self.reads[phase]
        return first + period * self.pixels, last + period * self.pixels

    def read(self, step: Fraction, places: Callable[[int], Iterable[int]]) -> Side:
        """Return the dependence of a value whose places read several of this one's.

        Args:
            step: places of this value from one place of the new one to the next.
            places: tells which places a place of the new one reads; they move on with it.
        """
        turns = Fraction(1)  # periods of this one in a period of the new one
        count = len(self.reads) / step
        turns *= count.denominator
        length = int(count * turns)
        if length > _MOST_PLACES:
            return self.lose()
        reads = []
        for place in range(length):
            found = [self.at(one) for one in places(place)] or [self.at(math.floor(place * step))]
            reads.append((min(low for low, _ in found), max(high for _, high in found)))
        return replace(self, pixels=self.pixels * int(turns), reads=tuple(reads))

    def join(self, phases: int) -> Side:
        """Return it for places that each became so many, as pixels do that are shuffled."""
        return self.read(Fraction(1, phases), lambda place: (place // phases,))

    def part(self, count: int) -> Side:
        """Return it for places that each hold so many in a row, as unshuffled pixels do."""
        return self.read(Fraction(count), lambda place: range(place * count, (place + 1) * count))

    def mirror(self, begin: int, end: int) -> Side:
        """Return it with edges that are continued by places of up to so many cells inside."""
        first = [self.at(place)[1] for place in range(begin + 1)]
        last = [-self.at(place)[0] for place in range(-end - 1, 0)]
        return replace(self, least=max(self.least, *first, *last))

    def lose(self) -> Side:
        """Return it for values that depend on everything."""
        return replace(self, reads=(_WHOLE,) * len(self.reads))

    def repeat(self, times: int) -> Side:
        """Return the same with a period that is so many times as long."""
        reads = tuple(self.at(place) for place in range(len(self.reads) * times))
        return replace(self, pixels=self.pixels * times, reads=reads)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Dependence of a tensor on the image."""

    axes: tuple[int | None, ...] | None
    """Side of the image that each axis runs along, 0 for rows and 1 for columns, None for others;
    None as a whole where places no longer follow the image's."""
    sides: tuple[Side, Side]
    why: str = ""
    """First node that looks at the whole image; empty if none does."""

    def change(self, side: int, new: Side, why: str = "") -> Spread:
        """Return it with another side; ``why`` counts where that is whole."""
        sides = (new, self.sides[1]) if side == 0 else (self.sides[0], new)
        return replace(self, sides=sides, why=self.why or (why if new.whole else ""))

    def read(self, axis: int, step: Fraction, places: Callable[[int], Iterable[int]]) -> Spread:
        """Return it after an axis was read as :meth:`Side.read` says, if it is along a side."""
        side = None if self.axes is None else self.axes[axis]
        if side is None:
            return self
        return self.change(side, self.sides[side].read(step, places), "a period that is too long")

    def lose_axis(self, axis: int, why: str) -> Spread:
        """Return it after values were mixed along one of its axes."""
        if self.axes is None:
            return self.lose(why)
        side = self.axes[axis]
        return self if side is None else self.change(side, self.sides[side].lose(), why)

    def lose(self, why: str, *, axes: bool = False) -> Spread:
        """Return it for values that depend on the whole image, maybe in no order at all."""
        first, second = self.sides
        return Spread(
            axes=None if axes else self.axes,
            sides=(first.lose(), second.lose()),
            why=self.why or why,
        )


def merge(parts: Sequence[tuple[Spread, Sequence[int]]], rank: int, why: str) -> Spread:
    """Return the dependence of values that are computed place by place from several.

    Args:
        parts: dependences and shapes, which broadcast.
        rank: axes of the result.
        why: told where places that meet are not the same ones.
    """
    known = [(spread, shape) for spread, shape in parts if spread.axes is not None]
    if not known:
        return parts[0][0].lose(why)
    axes: list[int | None] = [None] * rank
    clash = len(known) < len(parts)
    for spread, shape in known:
        for axis, side in enumerate(spread.axes or ()):
            place = axis + rank - len(shape)
            if side is None or shape[axis] == 1:
                continue
            clash = clash or axes[place] not in (None, side)
            axes[place] = side
    spreads = [spread for spread, _ in parts]
    sides = (_join(spreads, 0), _join(spreads, 1))
    clash = clash or None in sides or any(axes.count(side) > 1 for side in range(2))
    first, second = (new or old for new, old in zip(sides, known[0][0].sides, strict=True))
    result = Spread(
        axes=tuple(axes),
        sides=(first, second),
        why=next((spread.why for spread in spreads if spread.why), ""),
    )
    return result.lose(why) if clash else result


def _join(spreads: Sequence[Spread], side: int) -> Side | None:
    """Return what the places along a side depend on; None where they are not the same places."""
    sides = [spread.sides[side] for spread in spreads]
    placed = [s.sides[side] for s in spreads if s.axes is not None and side in s.axes]
    least = max(one.least for one in sides)
    whole = any(one.whole for one in sides)
    if not placed:
        return replace(sides[0].lose() if whole else sides[0], least=least)
    if len({one.cell for one in placed}) > 1:
        return None
    pixels = math.lcm(*(one.pixels for one in placed))
    if pixels / placed[0].cell > _MOST_PLACES:
        return placed[0].lose()
    even = [one.repeat(pixels // one.pixels) for one in placed]
    reads = tuple(
        (min(low for low, _ in phases), max(high for _, high in phases))
        for phases in zip(*(one.reads for one in even), strict=True)
    )
    result = Side(pixels=pixels, reads=reads, least=least)
    return result.lose() if whole else result
