"""A run that was killed, a disk that is full, a pipe for a log: the next run goes on."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.folder_runs import lines, run, statuses
from tinysr.errors import ImageError
from tinysr.runtime import Upscaler
from tinysr.runtime.folder import LOG_NAME
from tinysr.runtime.folder import stages as folder_stages
from tinysr.runtime.folder.log import Log
from tinysr.runtime.raster import Raster

KILLED = """
import os, signal, sys
from pathlib import Path
from tests.support.folder_runs import run
from tinysr.runtime import Upscaler
place = Path.replace
def replace_and_die(self, target):
    if sys.argv[3] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    place(self, target)
    os.kill(os.getpid(), signal.SIGKILL)
Path.replace = replace_and_die
with Upscaler(Path(sys.argv[1])) as upscaler:
    run(upscaler, Path(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is killed so there")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_was_killed_beside_a_rename_goes_on(
    upscaler: Upscaler, photos: Path, when: str
) -> None:
    (photos / "c.png").unlink()
    words = [str(upscaler.bundle.folder), str(photos), when]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], check=False)  # noqa: S603
    assert done.returncode == -9
    out = photos.parent / "out"
    assert [line["target"] for line in lines(out)] == ["a.png"]
    seen, _ = run(upscaler, photos)
    assert statuses(seen) == ("mmmm" if when == "before" else "ummm")
    assert not [path for path in out.rglob("*") if path.name.startswith(".tinysr-")]


def test_a_pipe_called_like_the_log_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LOG_NAME)
    with pytest.raises(ImageError, match="expected a log that can be read: Not a file; remove it"):
        Log(tmp_path)


def test_once_a_disk_is_full_nothing_is_computed_in_vain(
    upscaler: Upscaler, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "c.png").unlink()
    for index in range(8):
        Image.new("RGB", (24, 32)).save(photos / f"z{index}.png")
    computed: list[Any] = []
    infer = folder_stages.Stages.infer

    def count(self: Any, item: Any, *rest: Any) -> None:
        infer(self, item, *rest)
        computed.append(item)

    def fill(raster: Raster, path: Path, **_: Any) -> None:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise ImageError(f"{path}: can't be written: {full.strerror}") from full

    monkeypatch.setattr(folder_stages.Stages, "infer", count)
    monkeypatch.setattr(folder_stages, "save", fill)
    seen, _ = run(upscaler, photos)
    assert statuses(seen) == 12 * "f"
    assert len(computed) <= 3  # one in each stage when the first was written
    last = str(seen.items[-1].error)
    assert last.endswith("z7.png: not made: No space left on device, as an image before it found")


def test_finished_images_keep_no_metadata(upscaler: Upscaler, photos: Path) -> None:
    xmp = b"<x/>" * 100
    Image.new("RGB", (24, 32)).save(photos / "d.webp", xmp=xmp)
    seen, out = run(upscaler, photos)
    assert Image.open(out / "d.webp").info["xmp"] == xmp
    assert all(item.metadata.xmp is None and item.raster is None for item in seen.items)
