"""`tinysr` in shells of other encodings, at narrow terminals, and with outputs that fail."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tinysr.terminal import degrade_text

PROGRAM = Path(sys.executable).with_name("tinysr")
WAIT = 120
"""Seconds after which a test gives up on a process."""

NAMES = ("a.png", "b → é.png", "c 日本.png", os.fsdecode(b"d \xff.png"))

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SHELLS: dict[str, Mapping[str, str]] = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "cp1252 and strict": {"PYTHONIOENCODING": "cp1252:strict"},
    "C": C_LOCALE,
    "POSIX": {**C_LOCALE, "LC_ALL": "POSIX"},
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory with a bundle and a folder of photos with odd names."""
    desk = tmp_path_factory.mktemp("desk")
    make_bundle(desk / "twin")
    (desk / "photos").mkdir()
    for name in NAMES:
        noise = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
        Image.fromarray(noise).save(os.fsencode(desk / "photos" / name), "PNG")
    return desk


def environment(shell: Mapping[str, str]) -> dict[str, str]:
    left_out = ("COLUMNS", "PYTHONIOENCODING", "LC_ALL", "FORCE_COLOR")
    return {k: v for k, v in os.environ.items() if k not in left_out} | dict(shell)


def run(desk: Path, words: str, **shell: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of a shell in which `tinysr` is the program."""
    line = words.replace("tinysr", str(PROGRAM), 1)
    return subprocess.run(  # noqa: S602  our own words
        line, shell=True, cwd=desk, env=environment(shell), capture_output=True, timeout=WAIT,
        check=False, executable="/bin/bash",
    )  # fmt: skip


def made(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png"))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_folder_is_upscaled_in_any_encoding(shell: str, desk: Path, tmp_path: Path) -> None:
    done = run(desk, f"tinysr upscale photos -o {tmp_path}/out --bundle twin", **SHELLS[shell])
    assert (done.returncode, done.stderr) == (0, b"")
    assert made(tmp_path / "out") == sorted(NAMES)
    encoding = shell.split(" ", maxsplit=1)[0] if "PYTHONIOENCODING" in SHELLS[shell] else "ascii"
    said = done.stdout.decode(encoding)
    assert degrade_text("12×8 → 48×32", encoding) in said
    assert "made 4 images" in said
    if encoding != "ascii":
        assert degrade_text(f"{tmp_path}/out/b → é.png", encoding) in said


@pytest.mark.parametrize("shell", ["cp1252", "ascii", "C"])
def test_json_names_files_exactly(shell: str, desk: Path, tmp_path: Path) -> None:
    words = f"tinysr upscale photos -o {tmp_path}/out --bundle twin --json"
    done = run(desk, words, **SHELLS[shell])
    files = json.loads(done.stdout.decode("ascii"))["files"]
    names = {os.fsencode(name) for name in NAMES}
    errors = "surrogateescape"  # how the C locale's Python holds the bytes of a name
    encoding = "ascii" if shell == "C" else "utf-8"
    assert {Path(f["target"]).name.encode(encoding, errors) for f in files} == names


SAYING = ["inspect twin", "inspect twin --json", "--help"]
"""Commands that print in each way that there is, and are quick."""


@pytest.mark.parametrize("shell", ["cp1252", "ascii"])
@pytest.mark.parametrize("words", [*SAYING, "export --help", "upscale '→ nothing'"])
def test_commands_survive_any_encoding(words: str, shell: str, desk: Path) -> None:
    done = run(desk, f"tinysr {words}", **SHELLS[shell])
    assert done.returncode == (2 if "nothing" in words else 0)
    assert b"Traceback" not in done.stderr
    assert (done.stdout + done.stderr).decode(shell)


OPTIONS = ("--minimum-deployment-target", "--compute-capability", "--hardware-compatibility")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_help_names_every_option_whole(width: int, desk: Path) -> None:
    done = run(desk, "tinysr export --help", COLUMNS=str(width), PYTHONIOENCODING="ascii")
    page = done.stdout.decode("ascii")
    for option in OPTIONS:
        assert option in page.split()
    assert "TensorRT:" in page


def test_the_list_of_commands_says_all_of_each(desk: Path) -> None:
    page = " ".join(run(desk, "tinysr --help").stdout.decode().split())
    assert "Exits 2" not in page
    assert "Export a model: bake its constants, build its graphs, and gate them." in page


FULL = b"error: the output can't be written: No space left on device\n"


@pytest.mark.parametrize(
    ("redirection", "code", "error"),
    [
        (">/dev/full", 2, FULL),
        ("2>/dev/full", 0, b""),
        (">&-", 0, b""),
        (">&- 2>&- <&-", 0, b""),
    ],
)
def test_an_output_that_fails_costs_no_image(
    redirection: str, code: int, error: bytes, desk: Path, tmp_path: Path
) -> None:
    done = run(desk, f"tinysr upscale photos -o {tmp_path}/out --bundle twin {redirection}")
    assert (done.returncode, done.stderr) == (code, error)
    assert made(tmp_path / "out") == sorted(NAMES)
    for path in (tmp_path / "out").glob("*.png"):
        with Image.open(path) as image:
            image.load()


@pytest.mark.parametrize("words", [*SAYING, ""])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_one_line(words: str, unbuffered: str, desk: Path) -> None:
    done = run(desk, f"tinysr {words} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (2, FULL)


def test_a_refusal_keeps_its_exit_code_where_it_cant_be_said(desk: Path) -> None:
    words = "upscale photos/a.png -o new.png --bundle twin -b onnxruntime --provider cuda"
    assert run(desk, f"tinysr {words} 2>/dev/full").returncode == 3


@pytest.mark.parametrize("words", SAYING)
def test_a_pipe_that_nobody_reads_ends_it_quietly(words: str, desk: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(  # noqa: S603  our own program
        [PROGRAM, *words.split()], cwd=desk, stdout=writing, stderr=subprocess.PIPE,
        timeout=WAIT, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("upscale photos/a.png -o - --bundle twin >/dev/full", "standard output: can't be written"),
        ("upscale photos/a.png -o - --bundle twin >&-", "standard output: expected it open"),
        ("upscale - -o new.png --bundle twin <&-", "standard input: expected an image"),
    ],
)
def test_an_image_that_cant_be_piped_is_one_line(words: str, reason: str, desk: Path) -> None:
    done = run(desk, f"tinysr {words}")
    (line,) = done.stderr.decode().splitlines()
    assert reason in line
    assert "report this" not in line
    assert done.returncode == 2


def at_terminal(desk: Path, width: int, *words: str) -> str:
    """Run a command at a terminal of some columns; return all that it shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with subprocess.Popen(  # noqa: S603  our own program
        [PROGRAM, *words], cwd=desk, stdin=theirs, stdout=theirs, stderr=theirs,
        env=environment({"TERM": "xterm", "NO_COLOR": "1"}),
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # how Linux says that the other end was closed
            pass
        os.close(ours)
        assert process.wait(WAIT) == 0
    return shown.decode()


def test_a_narrow_terminal_shows_whole_words(desk: Path) -> None:
    shown = at_terminal(desk, 60, "inspect", "twin")
    words = shown.replace("\x1b[1m", " ").replace("\x1b[0m", " ").split()
    manifest = json.loads((desk / "twin" / "manifest.json").read_text())
    for artifact in manifest["artifacts"]:
        assert artifact["file"]["path"] in words
    assert manifest["source"]["sha256"] in words
    assert "…" not in shown


def test_a_narrow_terminal_shows_progress_and_results(desk: Path, tmp_path: Path) -> None:
    out = tmp_path / ("a-folder-with-a-name-longer-than-the-terminal-is-wide" * 2)
    shown = at_terminal(desk, 60, "upscale", "photos", "-o", str(out), "--bundle", "twin")
    assert "0/4" in shown
    for name in ("a.png", "b → é.png", "c 日本.png"):
        assert f"{out}/{name}: 12×8 → 48×32" in shown
    assert "…" not in shown
