"""Axes of a value before and after a reshape: which runs along which side of the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

from .spread import Spread

__all__ = ["regroup"]

Shape = Sequence[int]
Group = tuple[list[int], list[int]]


def regroup(spread: Spread, before: tuple[Shape, Shape], after: tuple[Shape, Shape]) -> Spread:
    """Return the dependence of a reshaped value.

    An axis along a side may be split into places and a fixed number of phases, and put together
    with them again, as unshuffled pixels are. Whatever else happens to it, places get lost.

    Args:
        spread: dependence before.
        before: shapes for two sizes of the image.
        after: shapes for the same two sizes.
    """
    if spread.axes is None:
        return spread.lose("")
    result = replace(spread, axes=(None,) * len(after[0]))
    axes: list[int | None] = [None] * len(after[0])
    groups = list(_find_groups(before[0], after[0]))
    if groups != list(_find_groups(before[1], after[1])):
        return spread.lose("a reshape that depends on the size", axes=True)
    for old, new in groups:
        placed = [axis for axis in old if spread.axes[axis] is not None]
        if not placed:
            continue
        side = spread.axes[placed[0]]
        longer = [axis for axis in new if after[0][axis] != 1 or after[1][axis] != 1]
        fixed = [axis for axis in longer[1:] if after[0][axis] == after[1][axis]]
        earlier = [axis for axis in old if axis < placed[0] and before[0][axis] != 1]
        later = [axis for axis in old if axis > placed[0]]
        grows = any(before[0][axis] != before[1][axis] for axis in later)
        lost = len(placed) > 1 or earlier or grows or len(fixed) != len(longer) - 1
        if lost or not longer:
            return spread.lose("a reshape that puts places in a row", axes=True)
        merged = prod(before[0][axis] for axis in later)
        split = prod(after[0][axis] for axis in longer[1:])
        changed = result.sides[side or 0]
        if merged > 1:
            changed = changed.join(merged)
        if split > 1:
            changed = changed.part(split)
        result = result.change(side or 0, changed, "a period that is too long")
        axes[longer[0]] = side
    return replace(result, axes=tuple(axes))


def _find_groups(before: Shape, after: Shape) -> Iterator[Group]:
    """Yield the smallest runs of axes that hold the same values before and after."""
    i = j = 0
    while i < len(before) or j < len(after):
        old, new = [i] if i < len(before) else [], [j] if j < len(after) else []
        i, j = i + len(old), j + len(new)
        left, right = prod(before[k] for k in old), prod(after[k] for k in new)
        while left != right or not old or not new:
            if left < right or (not old and i < len(before)):
                if i == len(before):
                    break
                old.append(i)
                left *= before[i]
                i += 1
            else:
                if j == len(after):
                    break
                new.append(j)
                right *= after[j]
                j += 1
        yield old, new
