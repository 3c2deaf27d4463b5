"""Many images at a time: in order, at the same time, within bounds, and what is done is kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import edit_manifest, make_bundle
from tinysr.errors import BundleError, ImageError
from tinysr.runtime import Upscaler
from tinysr.runtime.folder import LOG_NAME, Item, Settings, pipeline, plan_work, run_jobs
from tinysr.runtime.folder.stages import Stages

WAIT = 20
"""Seconds after which a test gives up on a thread."""


class Seen:
    """A watcher that remembers."""

    def __init__(self, on_start: Callable[[Item], None] = lambda _: None) -> None:
        self.items: list[Item] = []
        self.steps: list[tuple[int, int]] = []
        self.stopped = False
        self._on_start = on_start

    def started(self, item: Item) -> None:
        self._on_start(item)

    def stepped(self, done: int, total: int) -> None:
        self.steps.append((done, total))

    def finished(self, item: Item) -> None:
        self.items.append(item)

    def stopping(self) -> None:
        self.stopped = True

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(item.job.name, item.status) for item in self.items]


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upscaler]:
    with Upscaler(make_bundle(tmp_path_factory.mktemp("bundle") / "twin")) as opened:
        yield opened


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of five small images, the third one broken."""
    rng = np.random.default_rng(0)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "d.webp", "sub/e.tiff"):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "c.png").write_bytes((tmp_path / "in" / "a.png").read_bytes()[:200])
    return tmp_path / "in"


def run(
    upscaler: Upscaler, photos: Path, seen: Seen | None = None, **settings: Any
) -> tuple[Seen, Path]:
    """Upscale the folder into its neighbour `out`."""
    seen = seen or Seen()
    out = photos.parent / "out"
    jobs = plan_work([str(photos)], str(out)).jobs
    run_jobs(upscaler, jobs, Settings(**settings), seen)
    return seen, out


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / LOG_NAME).read_text().splitlines()]


def statuses(seen: Seen) -> str:
    """Return one letter for each image: made, up to date, failed."""
    return "".join(status[0] for _, status in seen.told)


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


def test_a_second_run_makes_only_what_is_missing(upscaler: Upscaler, photos: Path) -> None:
    run(upscaler, photos)
    (photos.parent / "out" / "b.jpg").unlink()
    seen, out = run(upscaler, photos)
    assert statuses(seen) == "umfuu"
    # What was up to date has its line already.
    assert len(lines(out)) == 5 + 2


def test_what_is_up_to_date_is_neither_decoded_nor_written(
    upscaler: Upscaler, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "c.png").unlink()
    run(upscaler, photos)
    monkeypatch.setattr("tinysr.runtime.folder.stages.decode", None)
    for settings in ({}, {"overwrite": True}):
        assert statuses(run(upscaler, photos, **settings)[0]) == "uuuu"


def test_moved_photos_are_up_to_date_and_names_alone_are_nothing(
    upscaler: Upscaler, photos: Path
) -> None:
    run(upscaler, photos)
    photos.rename(photos.with_name("moved"))
    photos = photos.with_name("moved")
    assert statuses(run(upscaler, photos)[0]) == "uufuu"
    content = (photos / "a.png").read_bytes()
    (photos / "a.png").write_bytes((photos / "d.webp").read_bytes())
    (photos / "d.webp").write_bytes(content)
    assert statuses(run(upscaler, photos)[0]) == "fuffu"


def edited(photos: Path, _: Path) -> None:
    Image.new("RGB", (24, 32), "teal").save(photos / "a.png")


def cut(_: Path, out: Path) -> None:
    (out / "a.png").write_bytes((out / "a.png").read_bytes()[:-10])


def touched_up(_: Path, out: Path) -> None:
    content = bytearray((out / "a.png").read_bytes())
    content[len(content) // 2] ^= 1
    (out / "a.png").write_bytes(content)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (edited, "its source has changed"),
        (cut, "it is not the file that was written"),
        (touched_up, "it is not the file that was written"),
    ],
)
def test_what_is_out_of_date_is_kept_until_it_may_be_replaced(
    upscaler: Upscaler, photos: Path, change: Callable[[Path, Path], object], why: str
) -> None:
    _, out = run(upscaler, photos)
    change(photos, out)
    before = (out / "a.png").read_bytes()
    seen, _ = run(upscaler, photos)
    assert statuses(seen) == "fufuu"
    assert f"exists and is kept, but {why}" in str(seen.items[0].error)
    assert (out / "a.png").read_bytes() == before
    assert statuses(run(upscaler, photos, overwrite=True)[0]) == "mufuu"
    assert statuses(run(upscaler, photos)[0]) == "uufuu"


def test_other_settings_make_every_file_anew(upscaler: Upscaler, photos: Path) -> None:
    run(upscaler, photos)
    seen, _ = run(upscaler, photos, color="wavelet")
    assert statuses(seen) == "fffff"
    assert "other settings" in str(seen.items[0].error)
    assert statuses(run(upscaler, photos, color="wavelet", overwrite=True)[0]) == "mmfmm"


def test_everything_that_changes_a_result_is_in_the_settings(tmp_path: Path) -> None:
    twin, other = make_bundle(tmp_path / "twin"), make_bundle(tmp_path / "other", noise=0.1)
    moved = make_bundle(tmp_path / "moved")
    edit_manifest(moved, lambda m: m.update(name="moved"))

    def digest(bundle: Path, file_format: str = "png", scale: float = 4, **settings: Any) -> str:
        with Upscaler(bundle, scale=scale) as upscaler:
            return Settings(**settings).sha256(upscaler, file_format)

    assert digest(twin) == digest(moved)
    assert digest(twin) == digest(twin, overwrite=True)
    different = {
        digest(twin),
        digest(other),
        digest(twin, "jpg"),
        digest(twin, scale=2),
        digest(twin, color="wavelet"),
        digest(twin, provider="cuda"),
        digest(twin, background=(255, 255, 255)),
    }
    assert len(different) == 7


def test_a_file_that_was_not_ours_is_kept(upscaler: Upscaler, photos: Path) -> None:
    out = photos.parent / "out"
    out.mkdir()
    (out / "a.png").write_text("precious")
    seen, _ = run(upscaler, photos)
    assert "exists and is kept; --overwrite" in str(seen.items[0].error)
    assert (out / "a.png").read_text() == "precious"


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
        def finished(self, item: Item) -> None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(upscaler, photos, Deaf())


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
