"""Windows: a convolutional stage on images that are too large for one run.

A window with enough of its surroundings gives what the whole image would. Windows of an image are
all of one size, and shifted inwards at its borders: a backend prepares for one shape, and reuses
its memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product

from tinysr.errors import UnsupportedError

from ..session import Array

__all__ = [
    "Span",
    "Window",
    "WindowLayout",
    "lay_out",
    "lay_out_fixed",
    "lay_out_squares",
    "run_windows",
]

_HALOS = 4
"""A window may always be this many halos wide, so that half of each side is of use."""

_SMALLEST = 32
"""And this many cells, where the halo is small."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A window along one side, in cells."""

    start: int
    stop: int
    first: int
    """Start of the part that this window gives; it ends before ``last``."""
    last: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """One run: what is read, and what part of the result is kept."""

    y: Span
    x: Span


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowLayout:
    """The windows of one image, row by row. Together their kept parts are the image, once."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Window]:
        for y, x in product(self.rows, self.columns):
            yield Window(y=y, x=x)

    def enlarge(self, factor: int) -> WindowLayout:
        """Return the layout in cells that are so many times smaller."""
        if factor == 1:
            return self
        rows, columns = (
            tuple(Span(**{name: factor * at for name, at in asdict(s).items()}) for s in spans)
            for spans in (self.rows, self.columns)
        )
        return WindowLayout(rows=rows, columns=columns)

    @property
    def longest(self) -> int:
        """Side of a window, in cells."""
        y, x = self.rows[0], self.columns[0]
        return max(y.stop - y.start, x.stop - x.start)

    @property
    def area(self) -> int:
        """Area of one window, in cells."""
        y, x = self.rows[0], self.columns[0]
        return (y.stop - y.start) * (x.stop - x.start)


def lay_out(height: int, width: int, *, halo: int, area: int) -> WindowLayout:
    """Cover an image with the windows that cost least in all.

    Args:
        height: in cells.
        width: in cells.
        halo: cells around a part of the result that it depends on.
        area: largest window, in cells; squares of four halos are allowed in any case.
    """
    least = max(_HALOS * halo, _SMALLEST)
    area = max(area, least**2)
    best, cost = (0, 0), math.inf
    for columns in range(1, _count(width, least, halo) + 1):
        across = _side(width, columns, halo)
        rows = _count(height, area // across, halo)
        if not rows:
            continue
        total = columns * rows * across * _side(height, rows, halo)
        if total < cost:
            best, cost = (rows, columns), total
    return _layout(height, width, best, halo)


def lay_out_squares(height: int, width: int, *, halo: int, side: int) -> WindowLayout:
    """Cover an image with windows of at most ``side``, more than two halos, along each side."""
    return _layout(height, width, (_count(height, side, halo), _count(width, side, halo)), halo)


def lay_out_fixed(height: int, width: int, *, halo: int, sides: Sequence[int]) -> WindowLayout:
    """Cover an image with square windows of one of these sides: the one that costs least in all.

    Args:
        height: in cells.
        width: in cells.
        halo: cells around a part of the result that it depends on.
        sides: of windows that a graph takes; the smallest is at most as large as the image.
    """
    options = []
    for side in sides:
        if side <= min(height, width) and (side > 2 * halo or side == height == width):
            rows, columns = _count(height, side, halo), _count(width, side, halo)
            options.append((rows * columns * side**2, side, rows, columns))
    if not options:
        raise UnsupportedError(
            f"{width}×{height} cells can't be covered with windows of {list(sides)} whose "
            f"surroundings are {2 * halo}: expected a graph that takes another size"
        )
    _, side, rows, columns = min(options)
    return WindowLayout(
        rows=_spans(height, rows, side, halo), columns=_spans(width, columns, side, halo)
    )


def run_windows(
    array: Array,
    layout: WindowLayout,
    run: Callable[[Array], Array],
    put: Callable[[Window, Array], None],
    *,
    reads: int,
    writes: int,
) -> None:
    """Run a convolutional stage window by window.

    Args:
        array: ``[1, C, H, W]``.
        layout: in cells.
        run: the stage.
        put: given each window and the part ``[1, D, h, w]`` of the result that it gives.
        reads: pixels of ``array`` along a cell's side.
        writes: pixels of the result along a cell's side.
    """
    for window in layout:
        y, x = window.y, window.x
        part = run(array[..., y.start * reads : y.stop * reads, x.start * reads : x.stop * reads])
        rows = slice((y.first - y.start) * writes, (y.last - y.start) * writes)
        columns = slice((x.first - x.start) * writes, (x.last - x.start) * writes)
        put(window, part[..., rows, columns])


def _count(length: int, side: int, halo: int) -> int:
    """Return how many windows of ``side`` cover a length; 0 if none could."""
    if length <= side:
        return 1
    core = side - 2 * halo
    return -(-(length - 2 * halo) // core) if core > 0 else 0


def _side(length: int, count: int, halo: int) -> int:
    """Return the shortest side with which ``count`` windows cover a length."""
    return length if count == 1 else -(-(length - 2 * halo) // count) + 2 * halo


def _layout(height: int, width: int, counts: tuple[int, int], halo: int) -> WindowLayout:
    rows, columns = counts
    return WindowLayout(
        rows=_spans(height, rows, _side(height, rows, halo), halo),
        columns=_spans(width, columns, _side(width, columns, halo), halo),
    )


def _spans(length: int, count: int, side: int, halo: int) -> tuple[Span, ...]:
    spans: list[Span] = []
    first = 0
    for index in range(count):
        start = min(index * (side - 2 * halo), length - side)
        last = length if index == count - 1 else start + side - halo
        spans.append(Span(start=start, stop=start + side, first=first, last=last))
        first = last
    return tuple(spans)
