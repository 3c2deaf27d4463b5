"""The machine's limits: the fastest matrix product of each type, and memory bandwidth.

Each is the best of some runs, before and after all else, and of all libraries that are here: a
limit is what the machine can do, so that the least disturbed run is the right one. Latencies are
medians. The products are large: small ones are mostly overhead, and no limit. A peak that part of
a run exceeds is no limit either, and counts as not measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from pydantic import Field

from tinysr.errors import MissingBackendError, require
from tinysr.records import StrictRecord

from .machine import usable_cores

__all__ = ["UNMEASURED", "Peaks", "measure_peaks"]

_SIZES = ((1024, 1536, 6144), (2048, 2048, 2048))
"""m, k, n: what the paper's feed-forward multiplies, and a square."""

_SECONDS = 1.0
"""Seconds of tries of each product and of copying, at least."""

_TRIES = 3
"""Tries of each product and of copying, at least, however long one takes."""

_BYTES = 2**28
"""Bytes of each array whose copying measures bandwidth: far more than any cache."""


class Peaks(StrictRecord):
    """What a machine can do at most; None was not measured."""

    tops: dict[str, float | None]
    """10¹² operations per second in products of matrices, by fp32, bf16 and int8; a
    multiply-accumulate counts as two."""
    gbps: float | None
    """Memory bandwidth, 10⁹ bytes per second, reads and writes together."""
    by: dict[str, str]
    """The library that reached each."""
    exceeded: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Types whose peak was no limit, so that none is known: what products reached, and what a
    stage of the run did, both in 10¹² operations per second."""

    def operations(self, precision: str) -> float | None:
        """Return operations per second in a type, None if not measured."""
        found = self.tops.get(precision)
        return None if found is None else found * 1e12

    @property
    def summary(self) -> str:
        """All peaks in a line of words."""
        if self.gbps is None and not any((*self.tops.values(), *self.exceeded)):
            return "its peaks were not measured"
        speeds = ", ".join(f"{name} {_number(x, '.2f')}" for name, x in self.tops.items())
        no_limits = "".join(
            f"; {name}: products reached {peak:.2g}, a stage {found:.2g}, so no limit is known"
            for name, (peak, found) in self.exceeded.items()
        )
        memory = f"{_number(self.gbps, '.0f')} GB/s of memory"
        return f"{speeds} TOP/s in products of matrices, {memory}{no_limits}"

    def hold_against(self, reached: Iterable[tuple[str, float]]) -> Peaks:
        """Return the peaks without those that something exceeded.

        Args:
            reached: types, and 10¹² operations per second that something reached in them.
        """
        tops, exceeded = dict(self.tops), dict(self.exceeded)
        for precision, found in reached:
            peak = self.tops.get(precision)
            if peak is not None and found > max(peak, *exceeded.get(precision, (0.0, 0.0))):
                tops[precision], exceeded[precision] = None, (peak, found)
        return self.model_copy(update={"tops": tops, "exceeded": exceeded})

    def take_better(self, other: Peaks) -> Peaks:
        """Return the better of two measurements, each for itself."""
        tops, by = dict(self.tops), dict(self.by)
        for precision, found in other.tops.items():
            if found is not None and found > (tops.get(precision) or 0.0):
                tops[precision], by[precision] = found, other.by[precision]
        known = [gbps for gbps in (self.gbps, other.gbps) if gbps is not None]
        return Peaks(tops=tops, gbps=max(known, default=None), by=by)


UNMEASURED = Peaks(tops={"fp32": None, "bf16": None, "int8": None}, gbps=None, by={})


def measure_peaks() -> Peaks:
    """Measure this machine's CPU, on all its cores; takes some seconds."""
    tops, by = dict(UNMEASURED.tops), dict(UNMEASURED.by)
    with _use_all_cores():
        for size in _SIZES:
            for precision, library, call in _products(*size):
                speed = 2.0 * size[0] * size[1] * size[2] / _time_best(call) / 1e12
                if speed > (tops[precision] or 0.0):
                    tops[precision], by[precision] = speed, library
        return Peaks(tops=tops, gbps=_bandwidth(), by=by)


@contextmanager
def _use_all_cores() -> Iterator[None]:
    """Let PyTorch use every core for the time of a block, whatever its environment says."""
    try:
        torch: Any = require("torch", extra="bench")
    except MissingBackendError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(usable_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _products(m: int, k: int, n: int) -> Iterable[tuple[str, str, Callable[[], Any]]]:
    """Yield precision, library and a product, for what is installed here."""
    yield from _torch_products(m, k, n)
    yield from _openvino_products(m, k, n)
    rng = np.random.default_rng(0)
    a, b = rng.random((m, k), np.float32), rng.random((k, n), np.float32)
    yield "fp32", "numpy", lambda: a @ b


def _torch_products(m: int, k: int, n: int) -> Iterable[tuple[str, str, Callable[[], Any]]]:
    try:
        torch: Any = require("torch", extra="bench")
    except MissingBackendError:
        return
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = torch.rand(m, k).to(dtype), torch.rand(n, k).to(dtype)
        yield name, "torch", partial(torch.nn.functional.linear, a, b)
    whole = [torch.randint(-8, 8, size, dtype=torch.int8) for size in ((m, k), (k, n))]
    yield "int8", "torch", lambda: torch._int_mm(*whole)


def _openvino_products(m: int, k: int, n: int) -> Iterable[tuple[str, str, Callable[[], Any]]]:
    try:
        ov: Any = require("openvino", extra="bench")
        ops: Any = require("openvino.opset13", extra="bench")
    except MissingBackendError:
        return
    core = ov.Core()
    can = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    rng = np.random.default_rng(0)
    a, b = rng.random((m, k), np.float32), rng.random((n, k), np.float32)
    for name, hint in (("fp32", "f32"), ("bf16", "bf16")):
        if name.upper() not in can:
            continue
        given = ops.parameter([m, k], np.float32)
        # A sum keeps what comes back small; the product is all that takes time.
        total = ops.reduce_sum(ops.matmul(given, ops.constant(b), False, True), [0, 1])
        model = ov.Model([total], [given])
        request = core.compile_model(
            model, "CPU", {"INFERENCE_PRECISION_HINT": hint}
        ).create_infer_request()
        yield name, "openvino", partial(request.infer, [a], share_inputs=True)


def _bandwidth() -> float | None:
    """Return 10⁹ bytes per second of adding two arrays into a third, on all cores."""
    try:
        torch: Any = require("torch", extra="bench")
    except MissingBackendError:
        return None
    a, b, c = (torch.ones(_BYTES // 4) for _ in range(3))
    return 3 * _BYTES / _time_best(lambda: torch.add(a, b, out=c)) / 1e9


def _time_best(call: Callable[[], Any]) -> float:
    """Return the shortest time of a call, in seconds, after one that does not count."""
    call()
    best, tries, start = float("inf"), 0, time.perf_counter()
    while tries < _TRIES or time.perf_counter() - start < _SECONDS:
        before = time.perf_counter()
        call()
        best, tries = min(best, time.perf_counter() - before), tries + 1
    return best
