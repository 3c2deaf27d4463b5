"""SIGINT, SIGTERM and SIGHUP as a question that the loop asks between two steps."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

__all__ = ["find_stop_code", "stop_requests"]

_LAST = [int(signal.SIGINT)]
"""Number of the last signal that asked to stop."""


def find_stop_code() -> int:
    """Return the exit code that shells give a program ended by the signal that asked to stop.

    A process of a team that stopped with another, and got no signal itself, has that of Ctrl-C.
    """
    return 128 + _LAST[-1]


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether a signal has asked to stop.

    Outside the main thread, where Python allows no handlers, it never does.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]
    signals = [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]
    previous = [signal.signal(s, lambda number, _: asked.append(number)) for s in signals]
    try:
        yield lambda: bool(asked)
    finally:
        _LAST[:] = asked[:1] or _LAST
        for number, handler in zip(signals, previous, strict=True):
            signal.signal(number, handler)
