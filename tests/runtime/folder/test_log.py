"""The log of an output folder, and when it is not believed."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tinysr.errors import ImageError
from tinysr.runtime.folder.log import LOG_NAME, Log

PIXELS = b"a file that was made"


def record(**changes: Any) -> dict[str, Any]:
    """Return a line for `a.png`."""
    return {
        "target": "a.png",
        "status": "made",
        "source_sha256": "s" * 64,
        "settings": "t" * 64,
        "target_sha256": sha256(PIXELS).hexdigest(),
        "target_bytes": len(PIXELS),
        **changes,
    }


def why_stale(folder: Path, source: str = "s" * 64, settings: str = "t" * 64) -> str | None:
    made = Log(folder).find_made("a.png")
    assert made is not None
    return made.explain_stale(source, settings, folder / "a.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an output folder with a file that was made and logged."""
    Log(tmp_path / "out").append(record())
    (tmp_path / "out" / "a.png").write_bytes(PIXELS)
    return tmp_path / "out"


def test_a_file_is_current_while_nothing_has_changed(folder: Path) -> None:
    assert why_stale(folder) is None
    assert "source" in str(why_stale(folder, source="x" * 64))
    assert "settings" in str(why_stale(folder, settings="x" * 64))
    (folder / "a.png").write_bytes(PIXELS[:-1])
    assert "not the file" in str(why_stale(folder))
    (folder / "a.png").write_bytes(PIXELS[::-1])
    assert "not the file" in str(why_stale(folder))


def test_of_a_file_of_another_size_nothing_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.png").write_bytes(PIXELS * 2)
    monkeypatch.setattr("tinysr.runtime.folder.log.file_sha256", lambda _: pytest.fail("was read"))
    assert "not the file" in str(why_stale(folder))


def test_a_line_is_in_the_file_at_once(folder: Path) -> None:
    log = Log(folder)
    for number in range(3):
        log.append(record(target=f"{number}.png"))
        assert Log(folder).find_made(f"{number}.png") == log.find_made(f"{number}.png") is not None


def test_the_last_made_line_counts_and_failures_hide_none(folder: Path) -> None:
    log = Log(folder)
    log.append(record(settings="u" * 64))
    log.append(record(status="failed", settings="v" * 64))
    assert why_stale(folder, settings="u" * 64) is None


def test_a_line_that_was_cut_does_not_spoil_the_next(folder: Path) -> None:
    path = folder / LOG_NAME
    path.write_bytes(path.read_bytes() + b'{"target": "b.png", "status": "ma')
    Log(folder).append(record(target="c.png"))
    assert why_stale(folder) is None
    assert Log(folder).find_made("b.png") is None
    assert Log(folder).find_made("c.png") is not None


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x89PNG\r\n\x1a\n\0\0",
        b"[" * 100_000,
        b'"made"\n[1]\nnull\n{}\n',
        json.dumps(record(target=None)).encode(),
        json.dumps(record(target_bytes="20")).encode(),
        json.dumps(record(target_sha256=1)).encode(),
        b"x" * 2**20,
    ],
    ids=["binary", "nested", "json", "no target", "size", "hash", "endless"],
)
def test_what_is_not_understood_is_passed_over(folder: Path, garbage: bytes) -> None:
    path = folder / LOG_NAME
    path.write_bytes(garbage + b"\n" + path.read_bytes() + garbage)
    assert why_stale(folder) is None


def test_names_that_are_no_text_are_found_again(tmp_path: Path) -> None:
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    Log(tmp_path).append(record(target=name))
    assert Log(tmp_path).find_made(name) is not None


def test_a_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "profile").write_text("precious")
    (tmp_path / LOG_NAME).symlink_to(tmp_path / "profile")
    with pytest.raises(OSError, match="symbolic links"):
        Log(tmp_path).append(record())
    assert (tmp_path / "profile").read_text() == "precious"


def test_a_log_that_cant_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).mkdir()
    with pytest.raises(ImageError, match="Is a directory; remove it"):
        Log(tmp_path)
