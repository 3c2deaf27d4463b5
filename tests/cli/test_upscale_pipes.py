"""`tinysr upscale` in a shell: pipes, and Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tinysr.runtime.folder import LOG_NAME

PROGRAM = Path(sys.executable).with_name("tinysr")
WAIT = 60
"""Seconds after which a test gives up on a process."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory with a bundle and one photo in several formats."""
    desk = tmp_path_factory.mktemp("desk")
    make_bundle(desk / "twin")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8))
    for suffix in ("png", "jpg", "bmp"):
        noise.save(desk / f"a.{suffix}")
    return desk


def command(*words: object) -> list[str]:
    return [str(PROGRAM), "upscale", *map(str, words), "--bundle", "twin"]


def run(desk: Path, *words: object, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603  our own program
        command(*words), cwd=desk, input=data, capture_output=True, timeout=WAIT, check=False
    )


def image(data: bytes) -> tuple[str | None, tuple[int, int]]:
    """Return format and size."""
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        return opened.format, opened.size


@pytest.mark.parametrize(
    ("name", "options", "made"),
    [
        ("a.png", (), "PNG"),
        ("a.jpg", (), "JPEG"),
        ("a.bmp", (), "PNG"),
        ("a.png", ("--format", "webp"), "WEBP"),
        ("a.jpg", ("--format", "tiff"), "TIFF"),
    ],
)
def test_an_image_goes_through_in_its_own_format_or_another(
    desk: Path, name: str, options: Sequence[str], made: str
) -> None:
    done = run(desk, "-", "-o", "-", *options, data=(desk / name).read_bytes())
    assert done.returncode == 0
    assert image(done.stdout) == (made, (128, 96))
    assert b"standard output: 32\xc3\x9724 \xe2\x86\x92 128\xc3\x9796" in done.stderr
    assert b"made 1 image" in done.stderr


def test_pipes_give_the_bytes_that_files_do(desk: Path, tmp_path: Path) -> None:
    source = (desk / "a.png").read_bytes()
    run(desk, "a.png", "-o", tmp_path / "file.png", "--scale", "2")
    expected = (tmp_path / "file.png").read_bytes()
    assert image(expected) == ("PNG", (64, 48))
    assert run(desk, "a.png", "-o", "-", "--scale", "2").stdout == expected
    assert run(desk, "-", "--scale", "2", data=source).stdout == expected
    run(desk, "-", "-o", tmp_path / "in.png", "--scale", "2", data=source)
    assert (tmp_path / "in.png").read_bytes() == expected


def test_json_tells_of_standard_input(desk: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    done = run(desk, "-", "-o", target, "--json", data=(desk / "a.png").read_bytes())
    (file,) = json.loads(done.stdout)["files"]
    assert (file["source"], file["target"], file["status"]) == ("-", str(target), "made")


@pytest.mark.parametrize(
    ("words", "data", "reason"),
    [
        (("-", "-o", "-"), b"", "standard input: expected an image, found nothing"),
        (("-", "-o", "-"), b"no image", "standard input: expected an image"),
        (("-", "a.png", "-o", "out"), b"", "is one image"),
        (("twin", "-o", "-"), b"", "is one image"),
        (("-", "-o", "-", "--json"), b"", "can't both go to standard output"),
        (("-", "-o", "-", "--max-megapixels", "0.001"), None, "--max-megapixels"),
    ],
)
def test_what_cant_be_piped_is_one_line(
    desk: Path, words: Sequence[str], data: bytes | None, reason: str
) -> None:
    done = run(desk, *words, data=(desk / "a.png").read_bytes() if data is None else data)
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: ")
    assert reason in line
    assert done.returncode == 2
    assert done.stdout == b""


@pytest.mark.parametrize("words", [("a.png", "-o", "-"), ("-", "-o", "out.png")])
def test_terminals_neither_give_nor_take_images(desk: Path, words: Sequence[str]) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(  # noqa: S603  our own program
        command(*words), cwd=desk, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
        timeout=WAIT, check=False,
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    (line,) = done.stderr.decode().splitlines()
    assert "terminal" in line
    assert done.returncode == 2


@pytest.mark.parametrize("words", [("a.png", "-o", "-"), ("a.png", "-o", "out", "--json")])
def test_a_pipe_that_nobody_reads_ends_it_quietly(desk: Path, words: Sequence[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(  # noqa: S603  our own program
        command(*words), cwd=desk, stdout=writing, stderr=subprocess.PIPE, timeout=WAIT, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def hear_ctrl_c() -> None:
    """Undo what a shell does to programs in the background: they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted(desk: Path, out: Path, *options: str) -> tuple[subprocess.Popen[str], str, str]:
    """Upscale a folder, and press Ctrl-C once two images are made."""
    process = subprocess.Popen(  # noqa: S603  our own program
        command("many", "-o", out, *options), cwd=desk, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509  no thread is running
    )  # fmt: skip
    deadline = time.monotonic() + WAIT
    while len(list(out.glob("*.png"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    output, error = process.communicate(timeout=WAIT)
    assert time.monotonic() - start < WAIT / 4
    return process, output, error


@pytest.fixture(scope="module")
def many(desk: Path) -> int:
    """Make a folder of more photos than are upscaled in a second, and return their number."""
    (desk / "many").mkdir()
    rng = np.random.default_rng(1)
    for number in range(60):
        noise = rng.integers(0, 256, (160, 160, 3), np.uint8)
        Image.fromarray(noise).save(desk / "many" / f"{number:02}.png")
    return 60


def test_ctrl_c_leaves_whole_files_and_the_way_to_go_on(
    desk: Path, many: int, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process, _, error = interrupted(desk, out)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert "the same command goes on from here" in error
    made = sorted(path.name for path in out.glob("*.png"))
    assert 2 <= len(made) < many
    assert f"made {len(made)} of {many} images" in error
    for name in made:
        with Image.open(out / name) as opened:
            opened.load()
    lines = [json.loads(line) for line in (out / LOG_NAME).read_text().splitlines()]
    assert [line["target"] for line in lines] == made
    assert sorted(path.name for path in out.iterdir()) == [*made, LOG_NAME]
    again = run(desk, "many", "-o", out)
    assert again.returncode == 0
    assert f"{len(made)} up to date".encode() in again.stdout
    assert len(list(out.glob("*.png"))) == many


def test_ctrl_c_with_json_still_gives_one_object(desk: Path, many: int, tmp_path: Path) -> None:
    process, output, _ = interrupted(desk, tmp_path / "out", "--json")
    assert process.returncode == 130
    report = json.loads(output)
    assert report["summary"]["interrupted"] is True
    assert 2 <= report["summary"]["made"] == len(report["files"]) < many


def test_ctrl_c_while_standard_input_is_silent_ends_it(desk: Path) -> None:
    process = subprocess.Popen(  # noqa: S603  our own program
        command("-", "-o", "-"), cwd=desk, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509  no thread is running
    )  # fmt: skip
    time.sleep(3)  # it waits by then
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT) == 130
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read() == b""
    assert b"Fatal" not in process.stderr.read()
