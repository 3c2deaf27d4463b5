"""The machine's limits: the fastest matrix product of each type, and memory bandwidth.

Each is the best of some runs, before and after all else, and of all libraries that are here: a
limit is what the machine can do, so that the least disturbed run is the right one. Latencies are
medians.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from tinysr.errors import MissingBackendError, require

from .timing import Record

__all__ = ["Peaks", "measure_peaks"]

_SIZES = ((1024, 1536, 6144), (2048, 2048, 2048))
"""m, k, n: what the paper's feed-forward multiplies, and a square."""

_SMALL = ((128, 128, 256),)

_BYTES = 2**28
"""Of each array whose copying measures bandwidth: far more than any cache."""


class Peaks(Record):
    """What a machine can do at most; None was not measured."""

    tops: dict[str, float | None]
    """10¹² operations per second in products of matrices, by fp32, bf16 and int8; a
    multiply-accumulate counts as two."""
    gbps: float | None
    """Memory bandwidth, 10⁹ bytes per second, reads and writes together."""
    by: dict[str, str]
    """The library that reached each."""

    def operations(self, precision: str) -> float | None:
        """Return operations per second for artifacts of a precision, None if not measured."""
        name = {"fp16": "fp32", "w8": "fp32", "w4": "fp32"}.get(precision, precision)
        found = self.tops.get(name)
        return None if found is None else found * 1e12

    def or_better(self, other: Peaks) -> Peaks:
        """Return the better of two measurements, each for itself."""
        tops, by = dict(self.tops), dict(self.by)
        for precision, found in other.tops.items():
            if found is not None and found > (tops.get(precision) or 0.0):
                tops[precision], by[precision] = found, other.by[precision]
        known = [gbps for gbps in (self.gbps, other.gbps) if gbps is not None]
        return Peaks(tops=tops, gbps=max(known, default=None), by=by)


def measure_peaks(*, quick: bool = False) -> Peaks:
    """Measure this machine's CPU; some seconds, unless ``quick``, which measures little."""
    sizes, seconds = (_SMALL, 0.05) if quick else (_SIZES, 1.0)
    tops: dict[str, float | None] = {"fp32": None, "bf16": None, "int8": None}
    by: dict[str, str] = {}
    for size in sizes:
        for precision, library, call in _products(*size):
            speed = 2.0 * size[0] * size[1] * size[2] / _best(call, seconds) / 1e12
            if speed > (tops[precision] or 0.0):
                tops[precision], by[precision] = speed, library
    return Peaks(tops=tops, gbps=_bandwidth(_BYTES >> 6 if quick else _BYTES, seconds), by=by)


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


def _bandwidth(size: int, seconds: float) -> float | None:
    """Return 10⁹ bytes per second of adding two arrays into a third, on all cores."""
    try:
        torch: Any = require("torch", extra="bench")
    except MissingBackendError:
        return None
    a, b, c = (torch.ones(size // 4) for _ in range(3))
    return 3 * size / _best(lambda: torch.add(a, b, out=c), seconds) / 1e9


def _best(call: Callable[[], Any], seconds: float) -> float:
    """Return the shortest time of a call within some seconds, after one that does not count."""
    call()
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - before)
    return best
