"""The progress of `tinysr upscale`, on standard error where that is a terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Bars"]


class Bars:
    """Two bars: the images, and the steps of the one in the network. Lines appear above them."""

    def __init__(self, images: int) -> None:
        console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        # Where nobody looks, a bar would leave an empty line.
        self._shown = console.is_terminal
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not self._shown
        )
        self._all = self._progress.add_task("images", total=images)
        self._one = self._progress.add_task("", total=None, visible=False)
        self._megapixels, self._start = 0.0, time.perf_counter()

    def start(self) -> None:
        """Show the bars."""
        self._progress.start()

    def stop(self) -> None:
        """Remove them."""
        self._progress.stop()

    def started(self, name: str) -> None:
        """Begin with an image."""
        self._progress.reset(self._one, description=plain(name), visible=True)

    def stepped(self, done: int, total: int) -> None:
        """Show how far it is."""
        self._progress.update(self._one, completed=done, total=total)

    def finished(self, megapixels: float) -> None:
        """Count an image."""
        self._megapixels += megapixels
        rate = self._megapixels / (time.perf_counter() - self._start)
        self._progress.update(self._all, advance=1, description=f"images, {rate:.2f} MP/s")

    def print(self, text: str, file: TextIO | None = None) -> None:
        """Print one line, on standard error unless another file is named."""
        file = file or sys.stderr
        if self._shown and file.isatty():
            self._progress.console.print(plain(text))  # above the bars
        else:
            typer.echo(plain(text), file=file)


def plain(text: str) -> str:
    """Return text in one line that no terminal takes for commands, whatever files are called."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
