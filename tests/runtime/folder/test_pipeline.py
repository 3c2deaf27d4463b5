"""Many images at a time: in order, at the same time, and within bounds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.folder_runs import WAIT, Seen, lines, run, statuses
from tinysr.errors import BundleError, ImageError
from tinysr.runtime import Upscaler
from tinysr.runtime.folder import LOG_NAME, Item, pipeline
from tinysr.runtime.folder.stages import Stages


def test_all_but_the_broken_one_are_made_in_order(upscaler: Upscaler, photos: Path) -> None:
    seen, out = run(upscaler, photos)
    assert seen.told == [
        ("a.png", "made"),
        ("b.jpg", "made"),
        ("c.png", "failed"),
        ("d.webp", "made"),
        ("sub/e.tiff", "made"),
    ]
    assert seen.steps
    assert "c.png" in str(seen.items[2].error)
    for name in ("a.png", "b.jpg", "d.webp", "sub/e.tiff"):
        with Image.open(out / name) as image:
            assert image.size == (128, 96)


def test_the_log_has_a_line_for_each_in_the_same_order(upscaler: Upscaler, photos: Path) -> None:
    seen, out = run(upscaler, photos)
    found = lines(out)
    assert [(line["source"], line["status"]) for line in found] == seen.told
    assert found[0]["target_size"] == [128, 96]
    assert found[0]["target_bytes"] == (out / "a.png").stat().st_size
    assert "damaged" in found[2]["error"]
    assert found[2]["target_sha256"] is None


def test_a_log_that_cant_be_written_fails_the_image_and_says_it_was_made(
    upscaler: Upscaler, photos: Path
) -> None:
    out = photos.parent / "out"
    out.mkdir()
    (out / LOG_NAME).symlink_to(photos / "elsewhere")
    seen, _ = run(upscaler, photos)
    assert statuses(seen) == "fffff"
    assert f"{out / 'a.png'} was made" in str(seen.items[0].error)
    assert "damaged" in str(seen.items[2].error)


def test_reading_inference_and_writing_overlap(
    upscaler: Upscaler, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "c.png").unlink()
    meeting = threading.Barrier(3, timeout=WAIT)
    read, write, infer = Stages.read, Stages.write, Stages.infer

    def together(stage: Callable[..., None], name: str) -> Callable[..., None]:
        def staged(self: Stages, item: Item, *others: Any) -> None:
            if item.job.name == name:
                meeting.wait()
            stage(self, item, *others)

        return staged

    # Each waits for the other two: the first one's writing for the third one's reading.
    monkeypatch.setattr(Stages, "write", together(write, "a.png"))
    monkeypatch.setattr(Stages, "infer", together(infer, "b.jpg"))
    monkeypatch.setattr(Stages, "read", together(read, "d.webp"))
    assert statuses(run(upscaler, photos)[0]) == "mmmm"


@pytest.mark.parametrize(("limit", "most"), [(16.0, 5), (0.001, 1)])
def test_large_images_go_through_one_at_a_time(
    upscaler: Upscaler, photos: Path, monkeypatch: pytest.MonkeyPatch, limit: float, most: int
) -> None:
    monkeypatch.setattr(pipeline, "IN_FLIGHT", limit)
    for number in range(8):
        Image.new("RGB", (32, 32)).save(photos / f"f{number}.png")
    lock = threading.Lock()
    under_way, seen_most = 0, 0
    infer, log = Stages.infer, Stages.log

    def counted(self: Stages, item: Item, *others: Any) -> None:
        nonlocal under_way, seen_most
        with lock:
            under_way += 1
            seen_most = max(seen_most, under_way)
        infer(self, item, *others)

    def left(self: Stages, item: Item) -> None:
        nonlocal under_way
        log(self, item)
        with lock:
            under_way -= item.after is not None

    monkeypatch.setattr(Stages, "infer", counted)
    monkeypatch.setattr(Stages, "log", left)
    run(upscaler, photos)
    assert under_way == 0
    assert 1 <= seen_most <= most


@pytest.mark.parametrize("stage", ["read", "infer", "write"])
@pytest.mark.parametrize(
    "fault",
    [
        (ImageError("b.jpg: no"), "b.jpg: no"),
        (BundleError("NaN"), "NaN"),
        (MemoryError(), "out of memory"),
        (RuntimeError("odd"), "RuntimeError: odd; please report"),
    ],
    ids=["image", "bundle", "memory", "bug"],
)
def test_what_goes_wrong_belongs_to_its_image(
    upscaler: Upscaler,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    fault: tuple[Exception, str],
) -> None:
    error, words = fault
    whole = getattr(Stages, stage)

    def broken(self: Stages, item: Item, *others: Any) -> None:
        if item.job.name == "b.jpg":
            raise error
        whole(self, item, *others)

    monkeypatch.setattr(Stages, stage, broken)
    seen, out = run(upscaler, photos)
    assert statuses(seen) == "mffmm"
    assert words in str(seen.items[1].error)
    assert not (out / "b.jpg").exists()


def test_a_watcher_that_fails_ends_the_run(upscaler: Upscaler, photos: Path) -> None:
    class Deaf(Seen):
        def on_finish(self, item: Item) -> None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(upscaler, photos, Deaf())
