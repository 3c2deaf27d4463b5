"""What the Upscaler adds to the bare session runs of the same tiles: at most 3 %.

    python -m tinysr.benchmarks.overhead bundles/tinysr-nano

The two are measured in pairs, one straight after the other, in alternating order, so that
whatever else the machine does falls on both. The ratio is the median of the pairs' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tinysr.runtime import Session, Upscaler
from tinysr.runtime.session import Array

from tinysr.errors import TinySRError

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
    ratio: float
    """Median of upscaler/bare over the pairs."""
    spread: float
    """Interquartile range of that ratio."""
    repeats: int
    warmup: int

    @property
    def added(self) -> float:
        """Share that the Upscaler adds."""
        return self.ratio - 1


class _Recorder(Session):
    """Runs a session and keeps what it was fed."""

    def __init__(self, inner: Session, calls: list[Call]) -> None:
        super().__init__(inner.artifact)
        self._inner, self._calls = inner, calls

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        # Latents are changed in place after the transformer ran, hence the copies.
        self._calls.append((self._inner, {name: array.copy() for name, array in feeds.items()}))
        return self._inner.run(feeds)


def measure(
    upscaler: Upscaler, size: tuple[int, int], *, repeats: int = 15, warmup: int = 3
) -> Overhead:
    """Measure an image of random pixels, of ``size`` (width, height)."""
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    calls = _record(upscaler, image)

    def whole() -> None:
        upscaler.upscale(image)

    def bare() -> None:
        for session, feeds in calls:
            session.run(feeds)

    pairs = [_pair(whole, bare, swap=bool(i % 2)) for i in range(warmup + repeats)][warmup:]
    ratios = [first / second for first, second in pairs]
    low, _, high = statistics.quantiles(ratios, n=4)
    return Overhead(
        size=size,
        calls=len(calls),
        upscaler=statistics.median(first for first, _ in pairs),
        bare=statistics.median(second for _, second in pairs),
        ratio=statistics.median(ratios),
        spread=high - low,
        repeats=repeats,
        warmup=warmup,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a bundle, print the table, and return 1 if the Upscaler adds too much."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.overhead")
    parser.add_argument("bundle")
    parser.add_argument("-b", "--backend", default="auto")
    parser.add_argument("--color", default="adain")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=3)
    options = parser.parse_args(arguments)
    try:
        with Upscaler(options.bundle, backend=options.backend, color=options.color) as upscaler:
            rows = [
                measure(upscaler, size, repeats=options.repeats, warmup=options.warmup)
                for size in SIZES
            ]
            _print(rows, str(upscaler.choice), options.color)
    except TinySRError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return int(max(row.added for row in rows) > LIMIT)


def _record(upscaler: Upscaler, image: NDArray[np.uint8]) -> list[Call]:
    calls: list[Call] = []
    sessions = dict(upscaler.sessions)
    upscaler.sessions.update({s: _Recorder(inner, calls) for s, inner in sessions.items()})
    try:
        upscaler.upscale(image)
    finally:
        upscaler.sessions.update(sessions)
    return calls


def _pair(whole: Callable[[], None], bare: Callable[[], None], *, swap: bool) -> tuple[float, ...]:
    if swap:
        second, first = _time(bare), _time(whole)
    else:
        first, second = _time(whole), _time(bare)
    return first, second


def _time(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _print(rows: Sequence[Overhead], choice: str, color: str) -> None:
    from rich.console import Console  # noqa: PLC0415  a measurement needs no table
    from rich.table import Table  # noqa: PLC0415

    first = rows[0]
    table = Table(
        "image", "runs", "Upscaler ms", "bare runs ms", "added %", "spread %", title=choice,
        caption=f"colour {color}, {first.repeats} pairs after {first.warmup} of warm-up, medians; "
        f"limit {LIMIT:.0%}",
    )  # fmt: skip
    for row in rows:
        name = f"{row.size[0]}×{row.size[1]}"
        times = f"{row.upscaler * 1e3:.1f}", f"{row.bare * 1e3:.1f}"
        table.add_row(name, str(row.calls), *times, f"{row.added:.2%}", f"{row.spread:.2%}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
