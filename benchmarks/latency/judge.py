"""A run held against a target, and against an earlier run."""

from __future__ import annotations

from tinysr.errors import BundleError, GateError

from ..rows import BenchRun, Row, find_row
from ..timing import Latency

__all__ = ["check_target", "find_regressions"]

_NOISE = 0.05
"""Share by which a median may rise without being called slower, however steady both runs were."""


def check_target(measured: BenchRun) -> None:
    """Hold the fastest row's 90th percentile, MLPerf's single-stream figure, against the target.

    Raises:
        GateError: it takes longer.
    """
    best = measured.best
    if best.single.p90 > measured.target_ms:
        raise GateError(
            f"{best.backend} {best.precision}, the fastest, takes {best.single.p90:.1f} ms at the "
            f"90th percentile: expected at most {measured.target_ms:g} ms"
        )


def find_regressions(now: BenchRun, before: BenchRun) -> list[str]:
    """Return what became slower by more than the noise of both runs, in words.

    The noise is the interquartile ranges of both, as a share, and never less than 5 %.

    Raises:
        BundleError: the runs are of different machines, models or sizes.
    """
    for what, a, b in (
        ("device", now.device.name, before.device.name),
        ("model", now.model_sha256, before.model_sha256),
        ("size", now.side, before.side),
    ):
        if a != b:
            raise BundleError(f"the runs are of another {what}: expected {a}, found {b}")
    found = []
    for row in now.rows:
        old = find_row(before, row.backend, row.precision)
        if old is not None and (said := _describe_slower(row, old)):
            found.append(said)
    return found


def _describe_slower(row: Row, old: Row) -> str:
    noise = max(_NOISE, _share(row.single) + _share(old.single))
    rise = row.single.p50 / old.single.p50 - 1
    if rise <= noise:
        return ""
    return (
        f"{row.backend} {row.precision}: {old.single.p50:.1f} → {row.single.p50:.1f} ms, "
        f"{rise:.0%} slower, and the noise is {noise:.0%}"
    )


def _share(found: Latency) -> float:
    return found.spread / found.p50
