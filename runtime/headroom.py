"""Memory that this process may still take: the machine's, its control groups', and its own limit.

A container or a batch system allows less than the machine has, and ends what takes more.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Headroom", "measure_headroom"]

_ROOT = Path("/")
_UNLIMITED = 2**60
"""Bytes; limits from here on are version 1's way to say that there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Headroom:
    """Bytes that can still be taken. None where the system does not say."""

    memory: int | None
    """Free memory without swapping, in bytes."""
    with_swap: int | None
    """Free memory with what lies in memory moved to the disk, in bytes: possible, and slow."""


def measure_headroom(root: Path = _ROOT) -> Headroom:
    """Return what can still be taken by this process.

    Args:
        root: where /proc and /sys are; another one in tests.
    """
    machine = _machine(root)
    limits = [free for free in (*_groups(root), _address_space(root)) if free is not None]
    memory = [machine.memory] if machine.memory is not None else []
    swap = [machine.with_swap] if machine.with_swap is not None else []
    return Headroom(
        memory=max(0, min([*memory, *limits])) if memory or limits else None,
        with_swap=max(0, min([*swap, *limits])) if swap or limits else None,
    )


def _machine(root: Path) -> Headroom:
    """Return what the machine has, whoever else may want it."""
    fields = _fields(root / "proc/meminfo")
    if "MemAvailable" in fields:
        free = fields["MemAvailable"] * 1024
        return Headroom(memory=free, with_swap=free + fields.get("SwapFree", 0) * 1024)
    total = _total()
    return Headroom(memory=total, with_swap=total)


def _total() -> int | None:
    """Return the machine's memory where what is free of it is not said: on a Mac and on Windows."""
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415  of no use elsewhere

        status = (ctypes.c_uint64 * 8)(64)  # MEMORYSTATUSEX; its third field is free memory
        found = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status[2]) if found else None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def _groups(root: Path) -> Iterator[int]:
    """Yield what each control group of this process, and each group around it, leaves."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if "memory" in controllers.split(","):
            yield from _walk_up(root / "sys/fs/cgroup/memory", path, _read_version_1)
        elif not controllers:
            for mount in ("sys/fs/cgroup", "sys/fs/cgroup/unified"):
                yield from _walk_up(root / mount, path, _read_version_2)


def _walk_up(mount: Path, path: str, left: Callable[[Path], int | None]) -> Iterator[int]:
    """Yield what the group at a path leaves, and its parents.

    In a container the path may be the host's, and not be there: the mount is the group then.
    """
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        found = left(mount.joinpath(*parts[:count]))
        if found is not None:
            yield found


def _read_version_2(group: Path) -> int | None:
    limit = _number(group / "memory.max")
    return _read_left(limit, _number(group / "memory.current"), _fields(group / "memory.stat"))


def _read_version_1(group: Path) -> int | None:
    limit = _number(group / "memory.limit_in_bytes")
    used = _number(group / "memory.usage_in_bytes")
    return _read_left(limit, used, _fields(group / "memory.stat"))


def _read_left(limit: int | None, used: int | None, stat: Mapping[str, int]) -> int | None:
    """Return a limit less what is used; pages of files that nobody needs are given up."""
    if limit is None or limit >= _UNLIMITED:
        return None
    idle = stat.get("total_inactive_file", stat.get("inactive_file", 0))
    return limit - max(0, (used or 0) - idle)


def _address_space(root: Path) -> int | None:
    """Return what `ulimit -v` leaves."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415  Windows has none

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    pages = _text(root / "proc/self/statm").split()
    used = int(pages[0]) * os.sysconf("SC_PAGE_SIZE") if pages else 0
    return limit - used


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None  # "max" is no limit


def _fields(path: Path) -> dict[str, int]:
    """Return the numbers of lines such as "MemFree:  12 kB" and "inactive_file 12"."""
    rows = (line.replace(":", " ").split() for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
