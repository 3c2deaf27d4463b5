"""The progress of long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .terminal import Output

__all__ = ["QUIET_SECONDS", "Progress", "ignore_progress", "show_progress"]

Progress = Callable[[str, int, int], None]
"""Callback, called with what is being done, how many of it are done, and how many there are."""

QUIET_SECONDS = 30.0
"""A log without a line for so long looks as if nothing happened; short commands leave none."""


def ignore_progress(_text: str, _done: int, _total: int) -> None:
    """Show nothing."""


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Show on standard error what is being done, while it is."""
    output = Output(error=True)
    if not output.console.is_terminal:  # a bar that takes itself away would still leave a line
        yield _print_lines(output)
        return
    from .terminal.bars import make_bars  # noqa: PLC0415  a log needs none

    with make_bars(output) as shown:
        task = shown.add_task("", total=None)

        def tell(text: str, done: int, total: int) -> None:
            shown.update(task, description=text, completed=done, total=total)

        yield tell


def _print_lines(output: Output) -> Progress:
    start = last = time.monotonic()

    def tell(text: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < QUIET_SECONDS:
            return
        last = now
        count = f", {done} of {total}" if total > 1 else ""
        output.line(f"after {now - start:.0f} s: {text}{count}")

    return tell
