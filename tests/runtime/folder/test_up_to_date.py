"""What is up to date is not made again, and what is not ours is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.bundles import edit_manifest, make_bundle
from tests.support.folder_runs import lines, run, statuses
from tinysr.runtime import Upscaler
from tinysr.runtime.folder import FolderSettings


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
    for overwrite in (False, True):
        assert statuses(run(upscaler, photos, overwrite=overwrite)[0]) == "uuuu"


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
            return FolderSettings(**settings).sha256(upscaler, file_format)

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
        digest(twin, alpha_is_data=True),
        digest(twin, page=1),
    }
    assert len(different) == 9


def test_options_that_came_later_change_no_hash_until_they_are_used(
    upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An output folder of an earlier version must not become out of date by an update."""
    hashed: list[dict[str, Any]] = []
    dumps = json.dumps

    def note(known: dict[str, Any], **words: Any) -> str:
        hashed.append(known)
        return dumps(known, **words)

    monkeypatch.setattr("tinysr.runtime.folder.settings.json.dumps", note)
    FolderSettings().sha256(upscaler, "png")
    assert hashed[0].keys() == {
        *("tinysr", "source", "graphs", "chain", "backend"),
        *("color", "scale", "format", "background"),
    }


def test_a_file_that_was_not_ours_is_kept(upscaler: Upscaler, photos: Path) -> None:
    out = photos.parent / "out"
    out.mkdir()
    (out / "a.png").write_text("precious")
    seen, _ = run(upscaler, photos)
    assert "exists and is kept; --overwrite" in str(seen.items[0].error)
    assert (out / "a.png").read_text() == "precious"
