"""What a result has no place for is said once, with its file, and stands in the log."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.support.folder_runs import Seen, lines
from tinysr.runtime import Upscaler
from tinysr.runtime.folder import FolderSettings, plan_work, run_jobs


def test_a_comment_without_a_place_is_said_once(upscaler: Upscaler, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (16, 16), "teal").save(tmp_path / "in" / "a.jpg", comment=b"by hand")
    Image.new("RGB", (16, 16), "teal").save(tmp_path / "in" / "b.jpg")
    work = plan_work([str(tmp_path / "in")], str(tmp_path / "out"), file_format="webp")
    seen = Seen()
    run_jobs(upscaler, work.jobs, FolderSettings(), seen)
    note = "its comment is left out: webp has no place for it, png and jpg have"
    assert {item.job.name: item.notes for item in seen.items} == {"a.jpg": (note,), "b.jpg": ()}
    assert [line["notes"] for line in lines(tmp_path / "out")] == [[note], []]
    with Image.open(tmp_path / "out" / "a.webp") as image:
        assert image.size == (64, 64)
