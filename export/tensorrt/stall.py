"""Stalls: a child process that waits for itself forever is ended.

When a thread of TensorRT can't be had for lack of memory, the others may wait for it. Such a build
says nothing and uses no processor, however long one waits.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["STALL_SECONDS", "Stall", "end_when_stalled"]

STALL_SECONDS = 60.0
"""Time without work after which a process is taken for stuck."""

_LOOKS = 10
"""So many idle looks in a row. One alone may have lasted for as long as the machine slept."""

_IDLE = 0.01
"""Share of one processor below which a process does not work: its waits wake it now and then."""


class Stall:
    """Whether the process was ended."""

    happened = False


@contextmanager
def end_when_stalled(pid: int, seconds: float = STALL_SECONDS) -> Iterator[Stall]:
    """End a child that uses no processor; watch it as long as the context lasts.

    Where the system does not tell a process's time (any but Linux), nothing is watched.

    Args:
        pid: of a child that nobody waits for meanwhile, so that the number stays its own.
        seconds: time without work that is too long.
    """
    stall, over = Stall(), threading.Event()

    def watch() -> None:
        look = seconds / _LOOKS
        idle, before = 0, _processor_seconds(pid)
        while before is not None and not over.wait(look):
            now = _processor_seconds(pid)
            if now is None:
                return
            idle = idle + 1 if now - before < _IDLE * look else 0
            before = now
            if idle == _LOOKS:
                stall.happened = True
                os.kill(pid, signal.SIGKILL)
                return

    watcher = threading.Thread(target=watch, name="stall watch", daemon=True)
    watcher.start()
    try:
        yield stall
    finally:
        over.set()
        watcher.join()


def _processor_seconds(pid: int) -> float | None:
    """Return the time that a process has used; None where that is not to be had."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
