"""Calibration: how a plan is found, what catches an overflow, and what is written."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch
from PIL import Image

from tests.support.calibrating import options
from tests.support.tiny_models import TILE, as_loaded, explosive_model, tiny_model
from tests.support.tracing import TakenApart
from tinysr.calibration import (
    FP16_MAX,
    Calibration,
    HalfWalker,
    calibrate,
    check,
    load_ranges,
    write_calibration,
)
from tinysr.errors import CheckpointError, ImageError
from tinysr.export import ExportOptions, bake, export_bundle
from tinysr.export.families.tinysr.bake import bake_tinysr
from tinysr.export.model.apply_plan import apply_plan
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.metrics import measure
from tinysr.models import Loaded
from tinysr.parity import gate_db
from tinysr.suite import suite

GATE = gate_db("fp16")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def explosive() -> Loaded:
    return as_loaded(explosive_model(), "explosive")


@pytest.fixture(scope="module")
def found(explosive: Loaded) -> Calibration:
    return calibrate(explosive, options())


def test_a_model_that_fits_needs_nothing_in_fp32(loaded: Loaded) -> None:
    result = calibrate(loaded, options())
    assert result.plan.keep == ()
    assert result.verdict.passed
    assert [image.name for image in result.ranges.images] == [i.name for i in suite(TILE)]


def test_overflow_is_caught_where_onnx_runtime_hides_it(
    explosive: Loaded, taken_apart: TakenApart, tmp_path: Path
) -> None:
    naive = PrecisionPlan(model_sha256=explosive.source.sha256, tile=TILE)
    folder = tmp_path / "naive"
    export_bundle(explosive, folder, ExportOptions(tile=TILE, precision="fp16", plan=naive))
    session = _session(folder / "onnx" / "upscale.fp16.onnx")
    traced = taken_apart(bake_tinysr(explosive.tinysr, TILE), TILE)
    for image in suite(TILE):
        pixels = torch.from_numpy(image.pixels)[None]
        shown = session.run(None, {"image": image.pixels[None]})[0][0]
        expected = explosive.model(pixels)[0].numpy()
        assert measure(shown, expected, peak=1.0).passes(GATE), image.name
        assert not torch.isfinite(HalfWalker(traced, ())(pixels)).all(), image.name
    # What ONNX Runtime hides is what PyTorch computes in half.
    assert not torch.isfinite(apply_plan(bake(explosive.model, TILE), naive)(pixels)).all()


def test_the_plan_found_passes_on_every_image(found: Calibration) -> None:
    scores = found.verdict.evaluation.scores
    assert [s.image for s in scores] == [i.name for i in suite(TILE)]
    assert all(s.finite and s.psnr_db is not None and s.psnr_db >= GATE for s in scores)
    assert found.verdict.passed


def test_the_plan_is_the_smallest_with_the_margin(found: Calibration) -> None:
    kept = {entry.module for entry in found.plan.keep}
    for module in found.ranges.modules:
        fits = module.absmax * found.plan.margin <= FP16_MAX
        assert fits == (module.module not in kept), module


def test_reasons_name_the_value_and_the_place(found: Calibration) -> None:
    reasons = {entry.module: entry.reason for entry in found.plan.keep}
    block = "transformer.transformer_blocks.1"
    assert f"at `{block}.ff.proj_out:" in reasons[f"{block}.ff.proj_out"]
    assert "squared sum" in reasons[f"{block}.norm_ff"]
    assert all(reason.startswith(("absmax ", "reads absmax ")) for reason in reasons.values())


def test_a_plan_that_lacks_a_module_does_not_hold(found: Calibration, explosive: Loaded) -> None:
    fewer = found.plan.model_copy(update={"keep": found.plan.keep[1:]})
    verdict = check(explosive, fewer, options()).verdict
    assert not verdict.passed
    assert [m.module for m in verdict.short] == [found.plan.keep[0].module]
    assert found.plan.keep[0].module in verdict.failure
    assert check(explosive, found.plan, options()).verdict.passed


def test_an_unreadable_image_is_named(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"broken\.png: expected an image"):
        calibrate(loaded, options(images=tmp_path, limit=None))


def test_a_model_that_is_not_finite_in_fp32_is_refused() -> None:
    model = tiny_model()
    model.transformer.blocks[0].attn.to_q.weight *= 1e30
    model.transformer.blocks[0].attn.to_k.weight *= 1e30
    with pytest.raises(CheckpointError, match=r"attn:logits' gives NaN or infinity in fp32"):
        calibrate(as_loaded(model), options(limit=1))


def test_results_are_files_that_stand_alone(found: Calibration, tmp_path: Path) -> None:
    write_calibration(tmp_path, found)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("plan.toml", "ranges.json", "report.html", "headroom.png")
    }
    assert load_ranges(tmp_path / "ranges.json") == found.ranges
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "explosive" in page
    assert all(entry.module in page for entry in found.plan.keep)
    assert "://" not in page
    with Image.open(tmp_path / "headroom.png") as plot:
        assert plot.width > 600


def _session(path: Path) -> onnxruntime.InferenceSession:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = 1, 4
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
