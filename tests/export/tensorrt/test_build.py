"""Builds of engines: options, memory, disks and interrupts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine_builds import QUIET, RTX
from tests.support.tiny_models import TILE
from tinysr.errors import BundleError, UnsupportedError
from tinysr.export import extend_bundle
from tinysr.export.tensorrt import TensorRTOptions
from tinysr.export.tensorrt.build import EngineBuild, build_engine
from tinysr.export.tensorrt.profiles import choose_profile
from tinysr.runtime.bundle import Bundle


def built(graphs: Path, stage: str = "transformer", **options: Any) -> bytes:
    bundle = Bundle(graphs)
    artifact = bundle.artifact("onnx", stage, "fp16")
    settings = TensorRTOptions(**options)
    profile = choose_profile(
        artifact.inputs[0], bundle.manifest.chain, settings, tile=TILE, batch=1
    )
    graph = graphs / artifact.file.path
    build = EngineBuild(graph=graph, label="x", profile=profile, options=settings)
    with tempfile.TemporaryDirectory() as folder:
        build_engine(RTX, build, Path(folder) / "engine", lambda _: None)
        return (Path(folder) / "engine").read_bytes()


def test_progress_is_tensorrts_own(graphs: Path, tmp_path: Path) -> None:
    said: list[str] = []
    narrow = replace(QUIET, precision="fp32")
    extend_bundle(Bundle(graphs), tmp_path / "new", narrow, progress=said.append)
    assert "building tensorrt/decoder fp32 with TensorRT-RTX" in " ".join(said)
    assert any(re.fullmatch(r"building .* fp32: .+, \d+ of \d+", text) for text in said)


def test_ctrl_c_ends_a_build_and_leaves_nothing(graphs: Path, tmp_path: Path) -> None:
    def interrupted(text: str) -> None:
        if " of " in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extend_bundle(Bundle(graphs), tmp_path / "new", QUIET, progress=interrupted)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("capabilities", [("8.6",), ("8.0", "8.9", "12.0")], ids=" ".join)
def test_engines_are_built_for_the_gpus_asked_for(
    graphs: Path, capabilities: tuple[str, ...]
) -> None:
    assert built(graphs, compute_capabilities=capabilities) != built(graphs)


def test_what_a_gpu_lacks_is_said_with_the_module(graphs: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"transformer_blocks\.1\.attn.*SM75.*FP32 GEMM"):
        built(graphs, compute_capabilities=("7.5",))


def test_weight_streaming_and_a_workspace_are_passed_on(graphs: Path) -> None:
    assert built(graphs, weight_streaming=True)
    with pytest.raises(UnsupportedError, match="within workspace limit"):
        built(graphs, workspace_mb=1)


OUT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from tinysr.errors import MissingBackendError
from tinysr.export.tensorrt import FLAVORS, TensorRTOptions
from tinysr.export.tensorrt.build import EngineBuild, build_engine
from tests.support.chains import make_chain
from tinysr.export.tensorrt.profiles import choose_profile
from tinysr.manifest import Port
port = Port(name="image", dtype="float32", shape=(1, 3, 16, 16))
options = TensorRTOptions()
profile = choose_profile(port, make_chain(16), options, tile=16, batch=1)
graph = Path(sys.argv[1])
build = EngineBuild(graph=graph, label="engine", profile=profile, options=options)
FLAVORS["rtx"].module
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
more = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))
try:
    build_engine(FLAVORS["rtx"], build, graph.with_name("engine"), lambda _: None)
except MissingBackendError as error:
    sys.stdout.write(str(error))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
@pytest.mark.parametrize("more", [2**24, pytest.param(2**26, marks=pytest.mark.slow)])
def test_too_little_memory_is_said(graphs: Path, more: int) -> None:
    graph = graphs / "onnx" / "upscale.fp16.onnx"
    command = [sys.executable, "-c", OUT_OF_MEMORY, str(graph), str(more)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    # TensorRT ends as chance has it: with words, by a signal, or in threads that wait for ever.
    said = r"engine: .*\bfree (some|memory), or build on a larger"
    assert re.match(said, done.stdout), done.stderr


def test_a_full_disk_leaves_nothing(
    graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_flavor: object, _build: object, target: Path, **_: object) -> None:
        target.write_bytes(b"half")
        raise OSError(28, os.strerror(28), str(target))

    monkeypatch.setattr("tinysr.export.tensorrt.target.build_engine", full)
    with pytest.raises(BundleError, match="No space left on device"):
        extend_bundle(Bundle(graphs), tmp_path / "new", QUIET)
    assert not list(tmp_path.iterdir())


def test_a_file_size_limit_is_met_as_a_full_disk_is(graphs: Path, tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000)); "
        "sys.argv = ['tinysr', 'export', *sys.argv[1:]]; from tinysr.cli import main; main()"
    )
    place = tmp_path / "new"
    words = [str(graphs), "-o", str(place), "-t", "tensorrt", "--no-engine-cache"]
    command = [sys.executable, "-c", code, *words, "--precision", "fp16"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 2
    assert "can't be written: File too large" in done.stderr
    assert not list(tmp_path.iterdir())
