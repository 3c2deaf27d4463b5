"""TSD-SR from its checkpoint to a gated bundle, and images through it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.tiny_tsd_sr import PLAN, TILE, tiny_tsd_sr
from tinysr.errors import CheckpointError
from tinysr.export import ExportOptions
from tinysr.facts import TensorRTFacts
from tinysr.models import load_checkpoint
from tinysr.models.families.tsd_sr import save_single_file
from tinysr.runtime import Upscaler
from tinysr.workflows.export import Exported, export_gated

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(900)]

STAGES = ("encoder", "transformer", "decoder", "upscale")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tsd-sr") / "tiny.safetensors"
    save_single_file(tiny_tsd_sr(), path)
    return path


@pytest.fixture(scope="module")
def made(checkpoint: Path) -> Exported:
    return export_gated(str(checkpoint), checkpoint.with_name("bundle"), ExportOptions(tile=TILE))


def test_it_passes_every_gate(made: Exported) -> None:
    assert made.report is not None
    assert made.report.passed, made.report.failure
    found = [(a.target, a.stage, a.precision) for a in made.manifest.artifacts]
    assert found == [("onnx", name, "fp32") for name in STAGES]
    assert {seam.tiles for seam in made.report.seams} == {4}


def test_a_whole_photo_of_odd_size_goes_through_it(
    made: Exported, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    photo, result = tmp_path / "photo.png", tmp_path / "result.png"
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    Image.fromarray(pixels).save(photo)
    code, _, error = run("upscale", photo, "-o", result, "--bundle", made.folder)
    assert code == 0, error
    assert Image.open(result).size == (212, 148)
    with Upscaler(made.folder) as upscaler:
        assert upscaler.color == "wavelet"
        assert np.array_equal(upscaler.upscale(pixels), np.asarray(Image.open(result)))


def test_a_checkpoint_that_changes_during_its_export_is_refused(
    checkpoint: Path, tmp_path: Path, quick_target: None
) -> None:
    path = tmp_path / "tiny.safetensors"
    shutil.copy(checkpoint, path)

    def change(text: str, _done: int, _count: int) -> None:
        if text == "baking the constants":
            save_single_file(tiny_tsd_sr(seed=8), path)

    with pytest.raises(CheckpointError, match="the checkpoint changed while it was exported"):
        export_gated(str(path), tmp_path / "bundle", ExportOptions(tile=TILE), progress=change)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
def test_every_target_passes_its_gate(checkpoint: Path, tmp_path: Path) -> None:
    sha256 = load_checkpoint(checkpoint).source.sha256
    options = ExportOptions(
        targets=("onnx", "openvino", "tensorrt", "coreml", "coreai"),
        precision="fp16",
        plan=PLAN.model_copy(update={"model_sha256": sha256}),
        tile=TILE,
    )
    made = export_gated(str(checkpoint), tmp_path / "bundle", options)
    assert made.report is not None
    assert made.report.passed, made.report.failure
    run = {(result.backend, result.precision) for result in made.report.results}
    assert {("openvino", "bf16"), ("coreml", "fp16"), ("coreai", "fp16")} <= run
    engines = [a for a in made.manifest.artifacts if a.target == "tensorrt"]
    assert {a.stage for a in engines} == {*STAGES}
    half = {a.stage: a.facts(TensorRTFacts).layers for a in engines if a.precision == "fp16"}
    assert half["transformer"]["fp32"] == 1  # the step
    assert 0 < half["encoder"]["fp32"] < 6  # the map to [-1, 1]
    assert "fp32" not in half["decoder"]
    assert all(layers["fp16"] > 20 * layers.get("fp32", 0) for layers in half.values())
