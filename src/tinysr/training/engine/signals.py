"""SIGINT and SIGTERM as a question that the loop asks between two steps."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

__all__ = ["stop_requests"]


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether a signal has asked to stop.

    Outside the main thread, where Python allows no handlers, it never does.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(s, lambda number, _: asked.append(number)) for s in signals]
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in zip(signals, previous, strict=True):
            signal.signal(number, handler)
