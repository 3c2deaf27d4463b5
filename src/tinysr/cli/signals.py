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

__all__ = ["INTERRUPTED", "SignalError", "end_cleanly", "exit_code"]

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


INTERRUPTED = 128 + signal.SIGINT
"""The exit code that shells give a program ended by Ctrl-C."""


class SignalError(KeyboardInterrupt):
    """Somebody asked the program to end, by a signal other than that of Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """Exit code that shells give a program ended by this signal: 143 for SIGTERM, 129 for
        SIGHUP."""


def exit_code(interruption: KeyboardInterrupt) -> int:
    """Return the exit code that tells by which signal a program was ended."""
    return interruption.exit_code if isinstance(interruption, SignalError) else INTERRUPTED


@contextlib.contextmanager
def end_cleanly() -> Iterator[list[SignalError]]:
    """Raise :class:`SignalError` where a signal comes, and leave nothing unfinished behind.

    Signals that are ignored, as `nohup` has it, stay ignored.

    Yields:
        The signals that came, as they were raised.
    """
    raised: list[SignalError] = []

    def end(number: int, _frame: FrameType | None) -> None:
        _leave_terminal()
        raised.append(SignalError(number))
        raise raised[-1]

    changed = []
    if threading.current_thread() is threading.main_thread():
        changed = [s for s in _SIGNALS if signal.getsignal(s) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, end)
    try:
        yield raised
    finally:
        remove_unfinished()
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


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
