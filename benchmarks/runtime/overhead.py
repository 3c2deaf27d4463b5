"""Overhead of the Upscaler over bare session runs of the same tiles: at most 3 %.

    python -m tinysr.benchmarks.runtime.overhead bundles/tinysr-nano

It is measured twice. In pairs, the Upscaler and the bare runs straight after each other and in
alternating order, so that whatever else the machine does falls on both; the share added is the
median of the pairs'. And inside the Upscaler's own calls, as the time it spends outside of its
sessions: on a busy machine the pairs scatter by more than the limit, this does not, so it decides.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinysr.runtime import Session, Upscaler
from tinysr.runtime.session import Array
from tinysr.terminal import Column, Output, Table, program

__all__ = ["LIMIT", "Overhead", "main", "measure"]

LIMIT = 0.03
"""Largest share that the Upscaler may add."""

SIZES = ((128, 128), (256, 192), (500, 333))
"""Width and height of the images: one tile, a few, and a size that is no multiple of 4."""

Call = tuple[Session, dict[str, Array]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Overhead:
    """The measurement for one size of image. Times are medians, in seconds."""

    size: tuple[int, int]
    """Width and height of the input, in pixels."""
    calls: int
    """Session runs of one image."""
    upscaler: float
    bare: float
    paired: float
    """Median over the pairs of upscaler/bare - 1."""
    paired_spread: float
    """Interquartile range of it."""
    own: float
    """Median of the time outside of the sessions over the time inside, in the same call."""
    own_spread: float
    """Interquartile range of it."""
    repeats: int
    warmup: int


class _Watch:
    """Calls of one session, and the time they took."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.feeds: list[dict[str, Array]] = []
        self.recording = True
        self.seconds = 0.0

    def __call__(self, feeds: Mapping[str, Array], seconds: float) -> None:
        """Count a run."""
        self.seconds += seconds
        if self.recording:  # latents are changed in place after the transformer ran
            self.feeds.append({name: array.copy() for name, array in feeds.items()})


def measure(
    upscaler: Upscaler, size: tuple[int, int], *, repeats: int = 15, warmup: int = 3
) -> Overhead:
    """Measure an image of random pixels, of ``size`` (width, height)."""
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    with _watching(upscaler) as watches:
        upscaler.upscale(image)
        for watch in watches:
            watch.recording = False
        calls = [(watch.session, feed) for watch in watches for feed in watch.feeds]
        pairs = [
            _pair(lambda: upscaler.upscale(image), lambda: _run(calls), watches, swap=bool(i % 2))
            for i in range(warmup + repeats)
        ][warmup:]
    paired = [pair.upscaler / pair.bare - 1 for pair in pairs]
    own = [pair.upscaler / pair.inside - 1 for pair in pairs]
    return Overhead(
        size=size,
        calls=len(calls),
        upscaler=statistics.median(pair.upscaler for pair in pairs),
        bare=statistics.median(pair.bare for pair in pairs),
        paired=statistics.median(paired),
        paired_spread=_spread(paired),
        own=statistics.median(own),
        own_spread=_spread(own),
        repeats=repeats,
        warmup=warmup,
    )


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a bundle, print the table, and return 1 if the Upscaler adds too much."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.runtime.overhead")
    parser.add_argument("bundle")
    parser.add_argument("-b", "--backend", default="auto")
    parser.add_argument("--color", default="adain")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=3)
    options = parser.parse_args(arguments)
    with Upscaler(options.bundle, backend=options.backend, color=options.color) as upscaler:
        rows = [
            measure(upscaler, size, repeats=options.repeats, warmup=options.warmup)
            for size in SIZES
        ]
        _print(rows, str(upscaler.choice), options.color)
    return int(max(row.own for row in rows) > LIMIT)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    """One call of each, in seconds."""

    upscaler: float
    inside: float
    """The part of ``upscaler`` that its sessions took."""
    bare: float


@contextmanager
def _watching(upscaler: Upscaler) -> Iterator[list[_Watch]]:
    watches = [_Watch(session) for session in upscaler.sessions.values()]
    for watch in watches:
        watch.session.on_run = watch
    try:
        yield watches
    finally:
        for watch in watches:
            watch.session.on_run = None


def _run(calls: Sequence[Call]) -> None:
    for session, feeds in calls:
        session.run(feeds)


def _pair(
    whole: Callable[[], Any], bare: Callable[[], Any], watches: Sequence[_Watch], *, swap: bool
) -> _Pair:
    for watch in watches:
        watch.seconds = 0.0
    first = _time(bare) if swap else None
    upscaler = _time(whole)
    return _Pair(
        upscaler=upscaler,
        inside=sum(watch.seconds for watch in watches),
        bare=_time(bare) if first is None else first,
    )


def _spread(values: Sequence[float]) -> float:
    low, _, high = statistics.quantiles(values, n=4)
    return high - low


def _time(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _print(rows: Sequence[Overhead], choice: str, color: str) -> None:
    first = rows[0]
    names = ("runs", "Upscaler ms", "bare runs ms", "paired: added", "own time: added")
    table = Table(
        columns=[Column(name="image"), *(Column(name=name, right=True) for name in names)],
        title=choice,
        caption=f"colour {color}, {first.repeats} pairs after {first.warmup} of warm-up, median ± "
        f"half the interquartile range; at most {LIMIT:.0%} of own time",
    )
    for row in rows:
        name = f"{row.size[0]}×{row.size[1]}"
        times = f"{row.upscaler * 1e3:.1f}", f"{row.bare * 1e3:.1f}"
        paired = f"{row.paired:.2%} ± {row.paired_spread / 2:.2%}"
        own = f"{row.own:.2%} ± {row.own_spread / 2:.2%}"
        table.add(name, str(row.calls), *times, paired, own)
    Output().table(table)


if __name__ == "__main__":
    sys.exit(main())
