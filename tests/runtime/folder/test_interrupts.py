"""Interrupts: what left the network is kept, and a second one drops what is half written."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.folder_runs import WAIT, Seen, run, statuses
from tinysr.runtime import Upscaler
from tinysr.runtime.folder import LOG_NAME, Item


def test_an_interrupt_keeps_what_left_the_network(upscaler: Upscaler, photos: Path) -> None:
    def interrupt(item: Item) -> None:
        if item.job.name == "d.webp":
            raise KeyboardInterrupt

    seen = Seen(interrupt)
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(upscaler, photos, seen)
    assert seen.stopped
    assert statuses(seen) == "mmf"
    assert threading.active_count() <= threads + 1  # the reader may still be reading
    out = photos.parent / "out"
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.jpg", LOG_NAME]
    assert statuses(run(upscaler, photos)[0]) == "uufmm"


def test_a_second_interrupt_drops_what_is_half_written(
    upscaler: Upscaler, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, gone = threading.Event(), threading.Event()

    def slow(raster: object, file_format: str, file: Any, name: str) -> None:
        file.write(b"half of an image")
        file.flush()
        written.set()
        gone.wait(WAIT)

    def interrupt(item: Item) -> None:
        if item.job.name == "b.jpg":
            assert written.wait(WAIT)
            raise KeyboardInterrupt

    join = threading.Thread.join

    def interrupted(self: threading.Thread, timeout: float | None = None) -> None:
        if timeout is None and self.daemon:
            raise KeyboardInterrupt
        join(self, timeout)

    monkeypatch.setattr("tinysr.runtime.files.saving.encode_into", slow)
    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(upscaler, photos, Seen(interrupt))
    out = photos.parent / "out"
    assert list(out.iterdir()) == []
    gone.set()
