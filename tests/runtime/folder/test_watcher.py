"""A watcher that can't say what it wants to: whatever it raises, all images are made."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tinysr.errors import UnsupportedError
from tinysr.runtime import Upscaler
from tinysr.runtime.folder import FolderSettings, Item, plan_work, run_jobs

CALLS = ("started", "stepped", "finished")

UNSAYABLE = UnicodeEncodeError("cp1252", "→", 0, 1, "character maps to <undefined>")
ERRORS = (UNSAYABLE, OSError(errno.ENOSPC, "No space left on device"), KeyError("bug"))


class Failing:
    """Raises an error whenever it is told a certain thing."""

    def __init__(self, call: str, error: Exception) -> None:
        self._call, self._error = call, error
        self.failed: list[Item] = []

    def on_start(self, item: Item) -> None:
        self._told("started")

    def on_step(self, done: int, total: int) -> None:
        self._told("stepped")

    def on_finish(self, item: Item) -> None:
        if item.error is not None:
            self.failed.append(item)
        self._told("finished")

    def on_stop(self) -> None:
        self._told("stopping")

    def _told(self, call: str) -> None:
        if call == self._call:
            raise self._error


def upscale(tmp_path: Path, watcher: Failing) -> None:
    """Upscale three photos into `out`."""
    (tmp_path / "in").mkdir()
    for name in "abc":
        noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "in" / f"{name}.png")
    jobs = plan_work([str(tmp_path / "in")], str(tmp_path / "out")).jobs
    with Upscaler(make_bundle(tmp_path / "twin")) as upscaler:
        run_jobs(upscaler, jobs, FolderSettings(), watcher)


def made(tmp_path: Path) -> int:
    return len(list((tmp_path / "out").glob("*.png")))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("call", CALLS)
def test_all_images_are_made_then_the_error_is_raised(
    call: str, error: Exception, tmp_path: Path
) -> None:
    watcher = Failing(call, error)
    with pytest.raises(type(error)) as raised:
        upscale(tmp_path, watcher)
    assert raised.value is error
    assert not watcher.failed
    assert made(tmp_path) == 3


@pytest.mark.parametrize("error", [UnsupportedError("enough"), BrokenPipeError()])
def test_a_watcher_can_end_a_run(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as raised:
        upscale(tmp_path, Failing("finished", error))
    assert raised.value is error
    assert made(tmp_path) == 1
