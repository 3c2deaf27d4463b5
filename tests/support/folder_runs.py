"""Runs over a folder of photos, and what a watcher saw of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinysr.runtime import Upscaler
from tinysr.runtime.folder import LOG_NAME, FolderSettings, Item, plan_work, run_jobs

WAIT = 20
"""Seconds after which a test gives up on a thread."""


class Seen:
    """A watcher that remembers."""

    def __init__(self, on_start: Callable[[Item], None] = lambda _: None) -> None:
        self.items: list[Item] = []
        self.steps: list[tuple[int, int]] = []
        self.stopped = False
        self._on_start = on_start

    def on_start(self, item: Item) -> None:
        self._on_start(item)

    def on_step(self, done: int, total: int) -> None:
        self.steps.append((done, total))

    def on_finish(self, item: Item) -> None:
        self.items.append(item)

    def on_stop(self) -> None:
        self.stopped = True

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(item.job.name, item.status) for item in self.items]


def run(
    upscaler: Upscaler, photos: Path, seen: Seen | None = None, **settings: Any
) -> tuple[Seen, Path]:
    """Upscale the folder into its neighbour `out`."""
    seen = seen or Seen()
    out = photos.parent / "out"
    jobs = plan_work([str(photos)], str(out)).jobs
    run_jobs(upscaler, jobs, FolderSettings(**settings), seen)
    return seen, out


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / LOG_NAME).read_text().splitlines()]


def statuses(seen: Seen) -> str:
    """Return one letter for each image: made, up to date, failed."""
    return "".join(status[0] for _, status in seen.told)
