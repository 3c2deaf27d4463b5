"""SIGTERM and SIGHUP end every command as Ctrl-C does, and nothing half made is left."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tinysr.atomic import remove_unfinished, replace_atomically, temporary_folder
from tinysr.cli.signals import SignalError, end_cleanly
from tinysr.errors import TinySRError

WAIT = 120
"""Seconds after which a test gives up on a process."""

EXIT = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}

IN_MIDDLE = """
import sys, time
from pathlib import Path
sys.argv = ["tinysr", *sys.argv[2:]]
place = Path({reached!r})
def stay(*_, **__):
    place.touch()
    time.sleep({wait})
{patch}
from tinysr.cli import main
main()
"""
"""A command that stops in the middle of its work, and says that it is there."""

QUIET = {"OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}

_CACHE = "TORCHINDUCTOR_CACHE_DIR"
"""Where PyTorch makes a folder when it is imported; by default among temporary files."""

PATCHES = {
    "upscale in the network": (
        "from tinysr.runtime import Upscaler; Upscaler.infer = stay",
        ("upscale", "photos", "-o", "out", "--bundle", "twin"),
    ),
    "export in the model": (
        "import tinysr.export.bundle as b; b.bake = stay",
        ("export", "tinysr-nano", "-o", "out/new"),
    ),
    "extension in the format": (
        "import tinysr.export.openvino.target as t, tinysr.export.extend as e\n"
        "t._convert, e._check_graphs = stay, lambda bundle, _: bundle.artifacts('onnx')",
        ("export", "twin", "-o", "out/new", "-t", "openvino", "--no-gate"),
    ),
    "parity in a temporary folder": (
        "import tempfile, tinysr.models as m\n"
        "def held(*_, **__):\n"
        "    with tempfile.TemporaryDirectory(): stay()\n"
        "m.load_source = held",
        ("parity", "twin", "-b", "onnxruntime"),
    ),
}


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Return a working directory with a bundle, photos, and a folder for temporary files."""
    make_bundle(tmp_path / "twin")
    for folder in ("photos", "out", "temporary"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        Image.new("RGB", (16, 12), "teal").save(tmp_path / "photos" / f"{number}.png")
    return tmp_path


def hear_signals() -> None:
    """Undo what a shell does to programs in the background: they ignore Ctrl-C."""
    for number in EXIT:
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def in_the_middle(
    desk: Path, patch: str, words: tuple[str, ...], prepare: Callable[[], None] = hear_signals
) -> Iterator[subprocess.Popen[str]]:
    """Start a command, and yield once it is in the middle of its work."""
    reached = desk / "reached"
    program = IN_MIDDLE.format(reached=str(reached), wait=WAIT, patch=patch)
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-c", program, "tinysr", *words], cwd=desk, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | QUIET | {"TMPDIR": str(desk / "temporary"), _CACHE: str(desk / "cache")},
        preexec_fn=prepare,  # noqa: PLW1509  no thread is running
    )  # fmt: skip
    try:
        deadline = time.monotonic() + WAIT
        while not reached.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.communicate()


def left(desk: Path) -> list[str]:
    """Return what a command left in its output and among temporary files."""
    return sorted(path.name for f in ("out", "temporary") for path in (desk / f).iterdir())


@pytest.mark.parametrize("number", EXIT, ids=lambda number: number.name)
def test_an_upscaling_is_ended_by_each(number: signal.Signals, desk: Path) -> None:
    with in_the_middle(desk, *PATCHES["upscale in the network"]) as process:
        process.send_signal(number)
        _, error = process.communicate(timeout=WAIT)
    assert process.returncode == EXIT[number]
    assert "Traceback" not in error
    assert "the same command goes on from here" in error
    assert left(desk) == []


@pytest.mark.parametrize("command", [name for name in PATCHES if name[0] != "u"])
def test_every_command_cleans_up(command: str, desk: Path) -> None:
    with in_the_middle(desk, *PATCHES[command]) as process:
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=WAIT)
    assert process.returncode == 143, error
    assert "Traceback" not in error
    assert left(desk) == []


def test_what_another_thread_writes_is_removed_when_one_does_not_wait_for_it(desk: Path) -> None:
    patch = (
        "import tinysr.runtime.files.saving as s\n"
        "def slow(raster, kind, file, name):\n"
        "    file.write(b'half'); file.flush(); stay()\n"
        "s.encode_into = slow"
    )
    with in_the_middle(desk, patch, PATCHES["upscale in the network"][1]) as process:
        assert len(left(desk)) == 1
        process.send_signal(signal.SIGTERM)
        for line in process.stderr or ():
            if "Ctrl-C again" in line:
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT)
    assert process.returncode == 143
    assert left(desk) == []


def test_a_hangup_that_is_ignored_stays_ignored(desk: Path) -> None:
    """As `nohup` has it."""

    def nohup() -> None:
        hear_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with in_the_middle(desk, *PATCHES["upscale in the network"], nohup) as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT)
    assert process.returncode == 143


def test_a_terminal_that_is_gone_is_no_error_of_its_own(desk: Path) -> None:
    reached = desk / "reached"
    patch, words = PATCHES["upscale in the network"]
    program = IN_MIDDLE.format(reached=str(reached), wait=WAIT, patch=patch)
    child, terminal = pty.fork()
    if not child:
        os.chdir(desk)
        hear_signals()
        os.environ |= QUIET
        os.execv(sys.executable, [sys.executable, "-c", program, "tinysr", *words])  # noqa: S606
    deadline = time.monotonic() + WAIT
    while not reached.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    assert left(desk) == []


def test_a_build_in_a_process_of_its_own_ends_with_the_command(tmp_path: Path) -> None:
    program = (
        "import os, time\n"
        "from pathlib import Path\n"
        "from tinysr.cli.signals import end_cleanly\n"
        "from tinysr.export.tensorrt.isolated import run_isolated\n"
        "def work(tell):\n"
        "    Path('child').write_text(str(os.getpid()))\n"
        f"    time.sleep({WAIT})\n"
        "with end_cleanly():\n"
        "    run_isolated(work, label='engine')\n"
    )
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-c", program], cwd=tmp_path, stderr=subprocess.PIPE,
        preexec_fn=hear_signals,  # noqa: PLW1509  no thread is running
    )  # fmt: skip
    deadline = time.monotonic() + WAIT
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=WAIT)
    assert b"SIGTERM" in error
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "child").read_text()), 0)


def test_the_library_leaves_the_handlers_of_a_program_alone() -> None:
    program = (
        "import signal\n"
        "before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]\n"
        "import tinysr.runtime, tinysr.runtime.folder, tinysr.cli\n"
        "after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]\n"
        "assert before == after, after\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603  our own program


def test_handlers_are_as_before_once_the_command_has_ended() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SignalError), end_cleanly() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
    assert [s.exit_code for s in signals] == [143]
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_is_unfinished_is_removed_wherever_it_lies(tmp_path: Path) -> None:
    with temporary_folder(tmp_path / "new") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").touch()
        remove_unfinished()
        assert list(tmp_path.iterdir()) == []
    with contextlib.suppress(TinySRError), replace_atomically(tmp_path / "file"):
        remove_unfinished(tmp_path / "elsewhere")
        assert len(list(tmp_path.iterdir())) == 1
        remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []
