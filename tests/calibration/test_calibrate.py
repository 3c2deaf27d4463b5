"""Calibration: what is measured, how a plan is found, and what catches an overflow."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from tests.support.tiny_models import TILE, as_loaded, explosive_model, noise, tiny_model
from tinysr.calibration import (
    FP16_MAX,
    Calibration,
    CalibrationOptions,
    HalfWalker,
    Op,
    State,
    Trace,
    Walker,
    calibrate,
    calibration_images,
    check,
    load_ranges,
    trace,
    write_calibration,
)
from tinysr.calibration.ranges import measure as measuring
from tinysr.calibration.ranges.histogram import Measured, percentile, see, share_between
from tinysr.errors import CalibrationError, CheckpointError, ImageError
from tinysr.export import BakedTinySR, ExportOptions, bake, export_bundle
from tinysr.export.model.apply_plan import apply_plan
from tinysr.export.model.typed import units
from tinysr.export.plans.precision import KeptModule, PrecisionPlan
from tinysr.metrics import measure
from tinysr.models import Loaded
from tinysr.parity import gate_db
from tinysr.suite import suite

GATE = gate_db("fp16")
SUITE = len(suite(TILE))
ATTENTION = "transformer.transformer_blocks.1.attn"
FEED_FORWARD = "transformer.transformer_blocks.1.ff"
NORM = "transformer.transformer_blocks.1.norm_attn"


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def traced(baked: BakedTinySR) -> Trace:
    return trace(baked, TILE)


@pytest.fixture(scope="module")
def explosive() -> Loaded:
    return as_loaded(explosive_model(), "explosive")


@pytest.fixture(scope="module")
def found(explosive: Loaded) -> Calibration:
    return calibrate(explosive, options())


def options(**changes: object) -> CalibrationOptions:
    settings: dict[str, object] = {"tile": TILE, "limit": SUITE}
    return CalibrationOptions(**(settings | changes))  # type: ignore[arg-type]


class Recorder(Walker):
    """Keeps every value."""

    def __init__(self, of: Trace) -> None:
        super().__init__(of)
        self.values: dict[str, torch.Tensor] = {}

    def computed(self, op: Op, value: torch.Tensor) -> torch.Tensor:
        self.values[op.name] = value
        return value


def test_a_model_taken_apart_computes_the_same(traced: Trace, baked: BakedTinySR) -> None:
    image = noise(1, 3, TILE, TILE)
    torch.testing.assert_close(Walker(traced)(image), baked(image), rtol=1e-4, atol=1e-5)


def test_inner_values_are_those_of_the_modules(traced: Trace, baked: BakedTinySR) -> None:
    inputs: dict[str, torch.Tensor] = {}
    for path in (NORM, f"{ATTENTION}.to_qkv", f"{FEED_FORWARD}.proj_in"):
        module = baked.get_submodule(path)
        module.register_forward_hook(
            lambda _m, given, out, path=path: inputs.update({path: given[0], f"{path} out": out})
        )
    image = noise(1, 3, TILE, TILE)
    baked(image)
    recorder = Recorder(traced)
    recorder(image)
    values = recorder.values
    x = inputs[NORM]
    centred = x - x.mean(-1, keepdim=True)
    same = {"rtol": 1e-3, "atol": 1e-3}
    squared_sum = values[f"{NORM}:layer_norm.squared sum"]
    torch.testing.assert_close(squared_sum, centred.square().sum(-1, keepdim=True), **same)
    q, k, _ = inputs[f"{ATTENTION}.to_qkv out"].chunk(3, dim=2)
    logits = values[f"{ATTENTION}:logits"].squeeze()
    torch.testing.assert_close(logits, q[0] @ k[0].T, **same)
    cube = values[f"{FEED_FORWARD}:gelu.cube"]
    torch.testing.assert_close(cube, inputs[f"{FEED_FORWARD}.proj_in out"] ** 3, **same)


def test_every_module_that_can_be_kept_is_measured(traced: Trace, baked: BakedTinySR) -> None:
    assert {op.unit for op in traced.ops if op.unit} == units(baked).keys() == set(traced.units)
    assert len({op.name for op in traced.ops}) == len(traced.ops)
    step = next(op for op in traced.ops if op.module == "")
    assert step.unit is None  # z - v lies between the stages, in fp32
    last = "encoder.layers.8.pointwise:convolution"
    assert step.reads == (last, "transformer.proj_out:add")


def test_a_histogram_knows_sizes_to_an_eighth() -> None:
    values = torch.tensor([0.0, 2.0**-26, 2.0**-20, -1.0, 1.0, 3.0, -7e4, 100.0])
    seen = see(values)
    assert seen.absmax == pytest.approx(7e4)
    assert seen.overflowing == 1
    assert seen.counts.sum() == len(values)
    assert 1 < percentile(seen.counts, 50) <= 1.125
    assert 7e4 < percentile(seen.counts, 100) <= 7e4 * 1.125
    tiny = float(np.finfo(np.float32).tiny)
    assert share_between(seen.counts, tiny, 2.0**-25) == 1 / 8
    assert share_between(seen.counts, 2.0**-25, 2.0**-14) == 1 / 8


def test_a_sample_visits_all_channels() -> None:
    values = torch.zeros(64, 96, 128)
    values[:, :, 5] = 1.0
    counts = see(values).counts
    assert counts.sum() >= 2**14
    assert share_between(counts, 1.0, 2.0) == pytest.approx(1 / 128, rel=0.1)
    assert math.isnan(see(torch.tensor([1.0, math.nan])).absmax)


def test_true_fp16_is_what_pytorch_computes_in_half(
    traced: Trace, baked: BakedTinySR, loaded: Loaded
) -> None:
    image = torch.from_numpy(suite(TILE)[0].pixels)[None]
    kept = KeptModule(module=NORM)
    plan = PrecisionPlan(model_sha256=loaded.source.sha256, tile=TILE, keep=(kept,))
    exact = baked(image)
    half = apply_plan(baked, plan)(image)
    rounded = HalfWalker(traced, {NORM})(image)
    error, apart = (half - exact).square().mean().sqrt(), (rounded - half).square().mean().sqrt()
    assert 0 < apart <= 1.5 * error
    assert torch.equal(HalfWalker(traced, traced.units)(image), Walker(traced)(image))


def test_a_model_that_fits_needs_nothing_in_fp32(loaded: Loaded) -> None:
    result = calibrate(loaded, options())
    assert result.plan.keep == ()
    assert result.verdict.passed
    assert [image.name for image in result.ranges.images] == [i.name for i in suite(TILE)]


def test_overflow_is_caught_where_onnx_runtime_hides_it(explosive: Loaded, tmp_path: Path) -> None:
    naive = PrecisionPlan(model_sha256=explosive.source.sha256, tile=TILE)
    folder = tmp_path / "naive"
    export_bundle(explosive, folder, ExportOptions(tile=TILE, precision="fp16", plan=naive))
    session = _session(folder / "onnx" / "upscale.fp16.onnx")
    traced = trace(bake(explosive.model, TILE), TILE)
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


def test_images_are_the_same_for_the_same_seed() -> None:
    def pixels(seed: int) -> list[bytes]:
        made = calibration_images(TILE, seed=seed)
        return [image.load().pixels.tobytes() for image in made]

    first, again, other = pixels(80), pixels(80), pixels(81)
    assert len(first) == 32
    assert first == again
    assert first[:SUITE] == other[:SUITE]
    assert all(a != b for a, b in zip(first[SUITE:], other[SUITE:], strict=True))


def test_a_folder_takes_the_place_of_the_degraded_photos(tmp_path: Path) -> None:
    Image.new("RGB", (40, 9), "red").save(tmp_path / "red.png")
    names = [i.name for i in calibration_images(TILE, folder=tmp_path)]
    assert names == [*(i.name for i in suite(TILE)), "red.png"]


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no images here"):
        calibration_images(TILE, folder=tmp_path)
    with pytest.raises(CalibrationError, match="limit of at least 1"):
        calibration_images(TILE, limit=0)


def test_a_damaged_photo_is_found_before_anything_is_measured_and_the_others_are_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    for name in ("a.png", "c.png"):
        Image.fromarray(noise).save(tmp_path / name)
    # Its header is whole: only who decodes it finds out.
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    names = [image.name for image in calibration_images(TILE, folder=tmp_path)]
    assert names[-2:] == ["a.png", "c.png"]
    assert "b.png: expected an image" in caplog.text


def test_an_unreadable_image_is_named(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"broken\.png: expected an image"):
        calibrate(loaded, options(images=tmp_path, limit=None))


def test_an_interrupted_calibration_goes_on(
    loaded: Loaded, traced: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []
    run = measuring._measured

    def counted(of: Trace, image: torch.Tensor, name: str) -> Measured:
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(name)
        return run(of, image, name)

    monkeypatch.setattr(measuring, "_measured", counted)
    with pytest.raises(KeyboardInterrupt):
        calibrate(loaded, options(limit=4, state=tmp_path / "state"))
    monkeypatch.setattr(measuring, "_measured", run)
    names = [image.name for image in suite(TILE)]
    assert measured == names[:2]
    whole = calibrate(loaded, options(limit=4))

    measured.clear()
    monkeypatch.setattr(measuring, "_measured", counted)
    resumed = calibrate(loaded, options(limit=4, state=tmp_path / "state"))
    assert measured == names[2:4]
    assert resumed.ranges == whole.ranges


def test_a_damaged_measurement_is_made_again(traced: Trace, tmp_path: Path) -> None:
    state = State(tmp_path, traced.ops, model_sha256="0" * 64, tile=TILE)
    measured = Measured.empty(len(traced.ops))
    measured.put(3, see(noise(8)))
    state.put("a" * 64, measured)
    again = state.get("a" * 64)
    assert again is not None
    assert np.array_equal(again.absmax, measured.absmax)
    assert np.array_equal(again.counts, measured.counts)
    (file,) = (tmp_path / "measured").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert state.get("a" * 64) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"model_sha256": "1" * 64}, "SHA-256 111111111111"), ({"tile": 32}, "tiles of 32")],
)
def test_the_state_of_another_calibration_is_refused(
    changes: dict[str, object], problem: str, traced: Trace, tmp_path: Path
) -> None:
    settings: dict[str, object] = {"model_sha256": "0" * 64, "tile": TILE}
    State(tmp_path, traced.ops, **settings)  # type: ignore[arg-type]
    with pytest.raises(CalibrationError, match=f"{problem}.*choose another --output"):
        State(tmp_path, traced.ops, **(settings | changes))  # type: ignore[arg-type]


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
