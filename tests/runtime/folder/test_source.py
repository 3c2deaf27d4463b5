"""Sources from strangers: what is no image, or too much of one, is not read to its end."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from tinysr.errors import ImageError
from tinysr.runtime.folder import source
from tinysr.runtime.folder.job import Job
from tinysr.runtime.folder.source import read_source

PNG = b"\x89PNG\r\n\x1a\n"


def job(path: Path) -> Job:
    return Job(name=path.name, source=path, target=None, folder=None)


def test_of_what_is_no_image_only_the_beginning_is_read(tmp_path: Path) -> None:
    with (tmp_path / "film.png").open("wb") as file:
        file.write(b"\0\0\0\x20ftypmp42")
        file.truncate(2**31)
    data = read_source(job(tmp_path / "film.png"))
    assert data.startswith(b"\0\0\0\x20ftypmp42")
    assert len(data) <= 2**16


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such device")
def test_a_device_without_an_end_is_not_read_to_it() -> None:
    assert len(read_source(job(Path("/dev/zero")))) <= 2**16


def test_a_file_over_the_limit_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.write(PNG)
        file.truncate(2**31 + 1)
    monkeypatch.setattr(source, "_read_start", None)
    with pytest.raises(ImageError, match=r"large\.png: .* at most 2 GiB, found a larger one"):
        read_source(job(path))


@pytest.mark.skipif(sys.platform == "win32", reason="pipes have no names there")
def test_a_pipe_over_the_limit_is_refused_where_the_limit_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_MAX_BYTES", 2**20)
    monkeypatch.setattr(source, "_CHUNK", 2**16)
    written = 0

    def fill() -> None:
        nonlocal written
        with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
            try:
                written += pipe.write(PNG)
                while written < 2**26:
                    written += pipe.write(bytes(2**16))
            except BrokenPipeError:
                pass

    os.mkfifo(tmp_path / "pipe")
    thread = threading.Thread(target=fill)
    thread.start()
    with pytest.raises(ImageError, match="at most 2 GiB"):
        read_source(job(tmp_path / "pipe"))
    thread.join()
    assert written < 2**20 + 2**18


@pytest.mark.parametrize("lead", [b"", b"\r\n\n"], ids=["plain", "after blank lines"])
def test_an_image_is_read_whole(lead: bytes, tmp_path: Path) -> None:
    Image.effect_noise((200, 200), 50).save(tmp_path / "a.png")
    data = lead + (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data)
    assert read_source(job(tmp_path / "b.png")) == data


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    assert read_source(job(tmp_path / "a.png")) == b""
