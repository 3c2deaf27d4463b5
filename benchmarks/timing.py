"""Timing of runs, after MLPerf's rules for inference.

Warm-up that does not count, a least duration *and* a least count, random inputs from a fixed seed,
and percentiles of all runs in place of a best one. Several things that are compared run in turns,
each round in another order, so that whatever else the machine does falls on all of them; what is
reported of a pair is the median of the rounds' ratios.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from tinysr.errors import choice_error
from tinysr.progress import Progress, ignore_progress
from tinysr.records import StrictRecord

__all__ = [
    "FULL",
    "PRESETS",
    "QUICK",
    "Latency",
    "Ratio",
    "Rules",
    "compare_runs",
    "find_rules",
    "summarise",
    "time_in_turns",
]


class Rules(StrictRecord):
    """How long and how often something is measured."""

    name: str
    warmup: int = Field(ge=0)
    """Runs of each that do not count."""
    least_count: int = Field(ge=2)
    """Runs of each that count, at least."""
    least_seconds: float = Field(ge=0)
    """Seconds that all rounds take, at least."""
    seed: int = 80
    """Seed of the input."""
    peaks: bool = True
    """Whether the machine's peaks are measured, which takes some seconds."""


FULL = Rules(name="full", warmup=2, least_count=9, least_seconds=20.0)
QUICK = Rules(name="quick", warmup=1, least_count=3, least_seconds=0.0, peaks=False)
"""Rules for tests and CI: they show that all works, and their figures mean little."""

PRESETS = {rules.name: rules for rules in (FULL, QUICK)}


def find_rules(name: str) -> Rules:
    """Return rules by their name.

    Raises:
        UnsupportedError: there are none of this name.
    """
    if name not in PRESETS:
        raise choice_error("preset of rules", name, PRESETS)
    return PRESETS[name]


class Latency(StrictRecord):
    """What runs took, in milliseconds."""

    p50: float
    p90: float
    p99: float
    mean: float
    spread: float
    """Interquartile range."""
    count: int
    warmup: int


class Ratio(StrictRecord):
    """How many times longer one takes than another, from pairs of the same rounds."""

    median: float
    low: float
    """Lower quartile."""
    high: float
    """Upper quartile."""


def summarise(seconds: Sequence[float], warmup: int) -> Latency:
    """Sum runs up; ``seconds`` are those that count."""
    ms = np.asarray(seconds) * 1e3
    low, p50, high, p90, p99 = np.percentile(ms, (25, 50, 75, 90, 99)).tolist()
    return Latency(
        p50=p50, p90=p90, p99=p99, mean=float(ms.mean()), spread=high - low,
        count=len(ms), warmup=warmup,
    )  # fmt: skip


def compare_runs(slow: Sequence[float], fast: Sequence[float]) -> Ratio:
    """Compare runs of the same rounds, pair by pair."""
    pairs = [a / b for a, b in zip(slow, fast, strict=True)]
    low, median, high = np.percentile(pairs, (25, 50, 75)).tolist()
    return Ratio(median=median, low=low, high=high)


_REST = 0.1
"""Seconds before another's call: threads of the one before may still wait for work by spinning."""


def time_in_turns(
    calls: Mapping[str, Callable[[], Any]],
    rules: Rules,
    tell: Progress = ignore_progress,
) -> dict[str, list[float]]:
    """Time calls in turns, until there are enough rounds and enough time has passed.

    Returns:
        Seconds of each call in every round that counts, by name.
    """
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    rest = _REST if len(names) > 1 and rules.least_seconds else 0.0
    start, turn = time.perf_counter(), 0
    while not _is_enough(seconds[names[0]], rules, time.perf_counter() - start):
        if turn == rules.warmup:
            start = time.perf_counter()
        tell("latency", max(0, turn - rules.warmup), rules.least_count)
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(rest)
            took = _time(calls[name])
            if turn >= rules.warmup:
                seconds[name].append(took)
        turn += 1
    return seconds


def _is_enough(counted: Sequence[float], rules: Rules, passed: float) -> bool:
    return len(counted) >= rules.least_count and passed >= rules.least_seconds


def _time(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
