"""Running out of memory: one line that says what to do, whichever library it was."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.bundles import make_bundle
from tinysr.cli import app as cli
from tinysr.errors import BundleError, ImageError, OutOfMemoryError
from tinysr.runtime import Upscaler, upscaler
from tinysr.runtime.exhaustion import is_exhaustion
from tinysr.runtime.headroom import Headroom
from tinysr.runtime.session import Session

PROGRAM = Path(sys.executable).with_name("tinysr")

WORDS = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code: std::bad_alloc",
    "/onnxruntime_src/bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 9",
    "Exception from src/inference/src/cpp/infer_request.cpp:223: bad allocation",
    "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried",
    "CUDA out of memory. Tried to allocate 20.00 MiB",
    "VipsImage: out of memory --- size == 2288MB",
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "twin")


@pytest.mark.parametrize("words", WORDS)
def test_every_librarys_words_are_known_also_behind_another_error(words: str) -> None:
    assert is_exhaustion(RuntimeError(words))
    outer = BundleError("it failed")
    outer.__cause__ = RuntimeError(words)
    assert is_exhaustion(outer)
    assert not is_exhaustion(BundleError("the bundle is damaged"))


def test_what_the_libraries_raise_themselves_is_known() -> None:
    with pytest.raises(MemoryError) as numpys:
        np.empty(2**60, np.uint8)
    with pytest.raises(RuntimeError) as torchs:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_exhaustion(numpys.value)
    assert is_exhaustion(torchs.value)


def failing(error: Exception) -> Any:
    def run(_: Session, feeds: Mapping[str, Any]) -> Iterator[None]:
        raise BundleError("onnx/decoder fp32: ONNX Runtime failed on it") from error

    return run


def test_a_runtime_that_runs_out_is_one_line_with_the_option_that_helps(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Upscaler(bundle, memory_mb=700) as opened:
        kind = type(opened.sessions["encoder"])
        monkeypatch.setattr(kind, "_run", failing(RuntimeError(WORDS[0])))
        with pytest.raises(OutOfMemoryError, match=r"64×40: out of memory; --memory .* below 700"):
            opened.upscale(np.zeros((40, 64, 3), np.uint8))
        monkeypatch.setattr(kind, "_run", failing(RuntimeError("odd")))
        with pytest.raises(BundleError, match="failed on it"):
            opened.upscale(np.zeros((40, 64, 3), np.uint8))


def test_what_cant_fit_the_machine_is_refused_before_it_is_decoded(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Headroom(memory=10**9, with_swap=2 * 10**9)
    monkeypatch.setattr(upscaler, "measure_headroom", lambda: room)
    with Upscaler(bundle) as opened:
        opened.check_size(3000, 4000)
        words = r"6000×4000 pixels take 3\.\d GB of memory .*, and 2\.0 GB can be had here"
        with pytest.raises(ImageError, match=words):
            opened.check_size(6000, 4000)


def test_an_image_in_work_does_not_count_against_the_next(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Upscaler(bundle) as opened:
        full = Headroom(memory=0, with_swap=0)
        monkeypatch.setattr(upscaler, "measure_headroom", lambda: full)
        opened.check_size(64, 40)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's memory")
def test_a_process_that_may_take_little_ends_in_one_line(bundle: Path, tmp_path: Path) -> None:
    """Libraries take some hundred megabytes when they load; what is left is too little here."""
    Image.new("RGB", (1500, 1500), "teal").save(tmp_path / "in.png")
    limit = _loaded_bytes(bundle) + 100 * 10**6
    command: list[str | Path] = [PROGRAM, "upscale", "in.png", "-o", "out.png", "--bundle", bundle]
    done = subprocess.run(  # noqa: S603  our own program
        command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "memory" in line
    assert done.returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png"]


def _loaded_bytes(bundle: Path) -> int:
    """Return the address space of a process that opened a bundle."""
    code = (
        "import sys, os\n"
        "from tinysr.runtime import Upscaler\n"
        "import tinysr.runtime.folder, tinysr.cli.upscale_report\n"
        "with Upscaler(sys.argv[1]):\n"
        "    pages = int(open('/proc/self/statm').read().split()[0])\n"
        "    print(pages * os.sysconf('SC_PAGE_SIZE'))\n"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return int(subprocess.check_output([sys.executable, "-c", code, bundle], env=env))  # noqa: S603


def test_a_lack_of_memory_in_any_command_is_one_line(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starved(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(cli, "_register", lambda: None)
    monkeypatch.setattr(cli, "app", starved)
    assert run("inspect") == (
        2,
        "",
        "error: out of memory: close other programs, or use a machine with more\n",
    )
