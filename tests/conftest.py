"""What tests of many rooms use."""

from __future__ import annotations

import importlib
import math
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.support.tiny_models import TILE, tiny_loaded
from tests.support.tracing import TakenApart, Traced, shared_folder
from tinysr.cli import main
from tinysr.export import BakedTinySR
from tinysr.export.families.tinysr.bake import bake_tinysr
from tinysr.models import Loaded
from tinysr.quiet import load

load("onnxruntime")  # before a test imports it by its name, which would start its telemetry


@pytest.fixture(scope="session", autouse=True)
def traced_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """Let exports of equal models share what tracing gives, in seconds a stage."""
    traced = Traced(shared_folder(tmp_path_factory))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinysr.export.onnx.target.export_stage", traced)
        yield traced


@pytest.fixture(scope="session", autouse=True)
def taken_apart() -> Iterator[TakenApart]:
    """Let calibrations of equal models share their operations, which takes seconds too."""
    # The package's `calibrate` is the function of that name, which hides its module.
    calibrate = importlib.import_module("tinysr.calibration.calibrate")
    apart = TakenApart()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrate, "trace", apart)
        yield apart


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """Tensors this small only wait for threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def one_thread(one_core: None) -> Iterator[None]:
    """One core, and no gradients."""
    with torch.no_grad():
        yield


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small random checkpoint in the released layout, which no test may change."""
    from tests.support.checkpoint_factory import save_released  # takes seconds to import

    torch.manual_seed(80)
    root = tmp_path_factory.mktemp("released")
    save_released(root, encoder="separable", positions=64, heads=1, rank=4)
    return root


@pytest.fixture
def released(original: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return a copy of a good checkpoint, for a test to spoil."""
    torch.manual_seed(zlib.crc32(request.node.nodeid.encode()))
    return Path(shutil.copytree(original, tmp_path / "released"))


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return tiny_loaded()


@pytest.fixture(scope="module")
def baked(loaded: Loaded) -> BakedTinySR:
    return bake_tinysr(loaded.tinysr, TILE)


@pytest.fixture(scope="module")
def ranges(baked: BakedTinySR) -> dict[str, float]:
    """Return the range of every layer's input, for plans of integers."""
    from tinysr.calibration.ranges.images import calibration_images
    from tinysr.calibration.ranges.inputs import METHODS, measure_layer_inputs

    seen = measure_layer_inputs(baked, calibration_images(TILE, limit=15))
    return {path: METHODS["min-max"](found) for path, found in seen.items()}


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs the command in a folder of its own: exit code, out, err."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    # On a busy machine a short command may take long enough to say how far it is.
    monkeypatch.setattr("tinysr.progress.QUIET_SECONDS", math.inf)

    def call(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tinysr", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call
