"""The progress of long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress as Bar

__all__ = ["QUIET_SECONDS", "Progress", "progress_bar", "silent"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many of it are done, and how many there are."""

QUIET_SECONDS = 30.0
"""A log without a line for so long looks as if nothing happened; short commands leave none."""


def silent(_text: str, _done: int, _total: int) -> None:
    """Show nothing."""


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show on standard error what is being done, while it is."""
    console = Console(stderr=True)
    if not console.is_terminal:  # a bar that takes itself away would still leave an empty line
        yield _lines(console.file.write)
        return
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(text: str, done: int, total: int) -> None:
            bar.update(task, description=text, completed=done, total=total)

        yield tell


def _lines(write: Callable[[str], object]) -> Progress:
    start = last = time.monotonic()

    def tell(text: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < QUIET_SECONDS:
            return
        last = now
        count = f", {done} of {total}" if total > 1 else ""
        write(f"after {now - start:.0f} s: {text}{count}\n")

    return tell
