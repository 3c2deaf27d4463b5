"""What a killed program leaves under a passing name goes; what is in use stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tinysr import abandoned
from tinysr.abandoned import hold, remove_abandoned
from tinysr.atomic import replace_atomically, temporary_folder, write_atomically

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its files have no such locks")

KILLED = """
import os, signal, sys
from pathlib import Path
from tinysr.atomic import replace_atomically, temporary_folder
place = Path(sys.argv[1]) / "x"
with replace_atomically(place) as file, temporary_folder(place) as folder:
    file.write_text("half")
    (folder / "a").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_a_killed_program_left_is_removed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(words, check=False)  # noqa: S603
    assert done.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 2
    (tmp_path / "photo.png").write_text("mine")
    (tmp_path / ".tinysr-notes").write_text("mine")
    assert remove_abandoned(tmp_path) == 2
    assert names(tmp_path) == {"photo.png", ".tinysr-notes"}


def test_what_is_being_made_stays(tmp_path: Path) -> None:
    with replace_atomically(tmp_path / "x") as file, temporary_folder(tmp_path / "y") as folder:
        assert remove_abandoned(tmp_path) == 0
        file.write_text("whole")
        (folder / "a").write_text("")
        assert remove_abandoned(tmp_path) == 0
    assert names(tmp_path) == {"x"}


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").write_text("")
    (tmp_path / ".tinysr-0a1b2c3d").symlink_to(tmp_path / "kept")
    assert remove_abandoned(tmp_path) == 0
    assert names(tmp_path / "kept") == {"a"}


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".tinysr-0a1b2c3d")
    assert remove_abandoned(tmp_path) == 1


def test_a_name_that_was_taken_away_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("")
    with hold(path):
        path.unlink()
    with pytest.raises(FileNotFoundError), hold(path):
        pass


def test_without_locks_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abandoned, "_find_locks", lambda: None)
    (tmp_path / ".tinysr-0a1b2c3d").write_text("")
    assert remove_abandoned(tmp_path) == 0
    write_atomically(tmp_path / "x", "whole")
    assert (tmp_path / "x").read_text() == "whole"


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert remove_abandoned(tmp_path / "none") == 0
