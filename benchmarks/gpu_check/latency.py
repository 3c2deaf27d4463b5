"""Latencies of one piece of work: warm up, repeat, and take percentiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from tinysr.records import StrictRecord
from tinysr.runtime.tensorrt.cuda import Cuda

__all__ = [
    "REPEATS",
    "WARM_UP",
    "EventTimer",
    "GpuLatency",
    "Timer",
    "TorchTimer",
    "measure",
    "percentile",
]

WARM_UP = 20

REPEATS = 200


class GpuLatency(StrictRecord):
    """Milliseconds of one run, over many."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    least_ms: float
    warm_up: int
    repeats: int


class Timer(Protocol):
    """Takes the time of a piece of work, in milliseconds."""

    def __call__(self, work: Callable[[], object]) -> float: ...  # noqa: D102


class EventTimer:
    """CUDA events around what is put into a stream: the device's own clock, without the host's."""

    def __init__(self, cuda: Cuda, stream: Any) -> None:
        self._cuda, self._stream = cuda, stream
        with ExitStack() as opened:
            self._start, self._stop = (self._event(opened) for _ in range(2))
            self._opened = opened.pop_all()

    def _event(self, opened: ExitStack) -> Any:
        event = self._cuda.call("cudaEventCreate")
        opened.callback(self._cuda.call, "cudaEventDestroy", event)
        return event

    def __call__(self, work: Callable[[], object]) -> float:
        """Return the milliseconds between the events."""
        call = self._cuda.call
        call("cudaEventRecord", self._start, self._stream)
        work()
        call("cudaEventRecord", self._stop, self._stream)
        call("cudaEventSynchronize", self._stop)
        return float(call("cudaEventElapsedTime", self._start, self._stop))

    def close(self) -> None:
        """Destroy the events."""
        self._opened.close()


class TorchTimer:
    """CUDA events around what PyTorch puts into its current stream."""

    def __init__(self, torch: Any) -> None:
        self._start, self._stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def __call__(self, work: Callable[[], object]) -> float:
        """Return the milliseconds between the events."""
        self._start.record()
        work()
        self._stop.record()
        self._stop.synchronize()
        return float(self._start.elapsed_time(self._stop))


def measure(
    work: Callable[[], object], timer: Timer, *, warm_up: int = WARM_UP, repeats: int = REPEATS
) -> GpuLatency:
    """Return the latency of a piece of work.

    Args:
        work: puts one run into the stream that the timer watches.
        timer: takes the time of one run.
        warm_up: runs before those that count: clocks rise, kernels are compiled.
        repeats: runs that count.
    """
    for _ in range(warm_up):
        timer(work)
    times = sorted(timer(work) for _ in range(repeats))
    return GpuLatency(
        p50_ms=percentile(times, 50),
        p90_ms=percentile(times, 90),
        p99_ms=percentile(times, 99),
        least_ms=times[0],
        warm_up=warm_up,
        repeats=repeats,
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` of the values don't exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
