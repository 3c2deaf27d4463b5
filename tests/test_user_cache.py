"""A user without a home, or an unknown one: commands run, and nothing is cached."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import platformdirs
import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tests.support.strangers import as_unknown
from tinysr import user_cache
from tinysr.hashing import file_sha256
from tinysr.runtime import hashes
from tinysr.runtime.hashes import look_up_sha256
from tinysr.runtime.tensorrt.runtime_cache import find_cache
from tinysr.user_cache import cache_folder

needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="another user is only played on Linux"
)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Return a folder that anybody may write to, with a bundle and a photo."""
    desk = tmp_path / "desk"
    desk.mkdir()
    desk.chmod(0o777)
    make_bundle(desk / "twin")
    Image.new("RGB", (16, 12), "teal").save(desk / "a.png")
    return desk


@needs_linux
def test_doctor_says_what_works_and_what_does_not(desk: Path) -> None:
    done = as_unknown("doctor", "--json", cwd=desk)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["backends"]
    rows = {(row["name"], row["provider"]): row for row in told}
    assert rows["onnxruntime", "cpu"]["ready"]
    assert all(row["ready"] or row["detail"] for row in rows.values())
    assert sorted(path.name for path in desk.iterdir()) == ["a.png", "twin"]


@needs_linux
def test_an_image_is_upscaled(desk: Path) -> None:
    done = as_unknown("upscale", "a.png", "--bundle", "twin", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in desk.iterdir()) == ["a-x4.png", "a.png", "twin"]


@needs_linux
def test_a_model_is_inspected(desk: Path) -> None:
    done = as_unknown("inspect", "tinysr-nano", cwd=desk)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a working directory of a process that has no home folder."""

    def literally(*_: object) -> Path:
        return Path("~/.cache/tinysr")

    monkeypatch.setattr(platformdirs, "user_cache_path", literally)
    user_cache._warn.cache_clear()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_home_there_is_no_cache_and_one_notice(
    homeless: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hashes, "LARGE", 1)
    (homeless / "file").write_bytes(b"weights")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert look_up_sha256(homeless / "file") == file_sha256(homeless / "file")
            assert cache_folder("tensorrt") is None
        assert find_cache("0" * 64)._path is None
    assert [record.message[:23] for record in caplog.records] == ["no home folder is known"]
    assert [path.name for path in homeless.iterdir()] == ["file"]


def test_whatever_asking_for_a_home_raises_there_is_no_cache(
    homeless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(platformdirs, "user_cache_path", refuse)
    assert cache_folder() is None


def test_a_folder_that_is_named_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("HOME", raising=False)
    if os.name == "posix" and sys.platform != "darwin":
        assert cache_folder("hashes") == tmp_path / "tinysr" / "hashes"
