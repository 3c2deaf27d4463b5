"""SIGTERM and SIGHUP as Ctrl-C: what is half made is removed, children are ended, all is told.

They become an exception in the main thread, so there is one way out for all of them. Only the
command line asks for it: a program that imports tinysr keeps its own handlers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from tinysr.atomic import remove_unfinished

__all__ = ["SignalError", "ending_cleanly", "exit_code"]

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class SignalError(KeyboardInterrupt):
    """Somebody asked the program to end, by a signal other than that of Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(interruption: BaseException | None) -> int:
    """Return the exit code that shells give a program ended so: 130, 143 or 129.

    Args:
        interruption: a KeyboardInterrupt, or what was raised from one.
    """
    cause = interruption
    while cause is not None:
        if isinstance(cause, SignalError):
            return 128 + cause.number
        cause = cause.__cause__
    return 128 + signal.SIGINT


@contextlib.contextmanager
def ending_cleanly() -> Iterator[None]:
    """Raise :class:`SignalError` where a signal comes, and leave nothing unfinished behind.

    Signals that are ignored, as `nohup` has it, stay ignored.
    """
    changed = []
    if threading.current_thread() is threading.main_thread():
        changed = [s for s in _SIGNALS if signal.getsignal(s) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, _end)
    try:
        yield
    finally:
        remove_unfinished()
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: FrameType | None) -> None:
    _leave_terminal()
    raise SignalError(number)


def _leave_terminal() -> None:
    """Let what is said go nowhere when the terminal is gone, rather than fail."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is None:
            continue
        try:
            os.write(stream.fileno(), b"")
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
