"""State of the machine: memory of a process, energy, and the commit at work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tinysr import paths
from tinysr.errors import UnsupportedError
from tinysr.terminal import run_child

__all__ = ["Energy", "peak_mb", "read_commit", "usable_cores"]

_STATUS = Path("/proc/self/status")
_PEAK = "VmHWM:"
"""The largest resident size the process ever had."""

_RAPL = Path("/sys/class/powercap")
"""Folder in which Linux shows what Intel and AMD processors count of their energy."""


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_mb() -> float | None:
    """Return the largest memory this process ever had, in 10⁶ bytes; None if nobody counts it."""
    if paths.exists(_STATUS, UnsupportedError):
        line = next(x for x in _STATUS.read_text().splitlines() if x.startswith(_PEAK))
        return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource  # noqa: PLC0415  Windows has none
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class Energy:
    """The processor packages' energy between two moments."""

    def __init__(self, root: Path = _RAPL) -> None:
        zones = paths.find_matching(root, "intel-rapl:?", UnsupportedError)
        self._counters = [zone / "energy_uj" for zone in zones]
        self._start = self._read()

    def joules(self) -> float | None:
        """Return what was used since this was made; None where no counter can be read."""
        now = self._read()
        if self._start is None or now is None:
            return None
        pairs = zip(self._counters, self._start, now, strict=True)
        return sum(_count_used(path, before, after) for path, before, after in pairs) / 1e6

    def _read(self) -> list[int] | None:
        try:
            return [int(path.read_text()) for path in self._counters] or None
        except (OSError, ValueError):  # most systems let only root read them
            return None


def _count_used(counter: Path, before: int, after: int) -> int:
    """Return microjoules; a counter that ran over begins at zero."""
    if after >= before:
        return after - before
    return int((counter.parent / "max_energy_range_uj").read_text()) - before + after


def read_commit() -> str:
    """Return the commit of this checkout, marked if files were changed; "" outside of one."""
    # `git describe --dirty` would write into the checkout's index; this only reads it.
    git = ["git", "-C", str(Path(__file__).parent), "--no-optional-locks"]
    try:
        done = run_child([*git, "status", "--porcelain=v2", "--branch", "-uno"])
    except OSError:
        return ""
    if done.returncode:
        return ""
    lines = done.stdout.splitlines()
    name = next((x.split()[-1] for x in lines if x.startswith("# branch.oid ")), "(initial)")
    if name == "(initial)":  # nothing was committed yet
        return ""
    return name[:12] + ("-dirty" if any(not x.startswith("#") for x in lines) else "")
