"""The progress of `tinysr upscale`, on standard error where that is a terminal."""

from __future__ import annotations

import time

from tinysr.terminal import Output, make_plain
from tinysr.terminal.bars import make_bars

__all__ = ["UpscaleBars"]


class UpscaleBars:
    """Two bars: the images, and the steps of the one in the network. Lines appear above them."""

    def __init__(self, images: int) -> None:
        self._error, self._standard = Output(error=True), Output()
        # Where nobody looks, a bar would leave an empty line.
        self._shown = self._error.console.is_terminal
        self._progress = make_bars(self._error, disable=not self._shown)
        self._all = self._progress.add_task("images", total=images)
        self._one = self._progress.add_task("", total=None, visible=False)
        self._megapixels, self._start = 0.0, time.perf_counter()

    def start(self) -> None:
        """Show the bars."""
        self._progress.start()

    def stop(self) -> None:
        """Remove them."""
        self._progress.stop()

    def start_image(self, name: str) -> None:
        """Begin with an image."""
        self._progress.reset(self._one, description=make_plain(name), visible=True)

    def show_step(self, done: int, total: int) -> None:
        """Show how far it is."""
        self._progress.update(self._one, completed=done, total=total)

    def count_image(self, megapixels: float) -> None:
        """Count an image."""
        self._megapixels += megapixels
        rate = self._megapixels / (time.perf_counter() - self._start)
        self._progress.update(self._all, advance=1, description=f"images, {rate:.2f} MP/s")

    def print(self, text: str, *, standard: bool = False) -> None:
        """Print one line, on standard error or on standard output."""
        output = self._standard if standard else self._error
        if self._shown and output.file.isatty():
            output = self._error  # above the bars
        output.line(text, wrap=False)
