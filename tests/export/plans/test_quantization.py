"""Integers for weights and inputs: plans, rounding, and graphs that do what the plan says."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tests.support.tiny_models import TILE, as_loaded, difference, noise, tiny_model
from tinysr.calibration import BudgetResult, find_quantization, held_to_budget
from tinysr.calibration.bits.budget import _truth_db
from tinysr.calibration.ranges.images import calibration_images, degraded_photos
from tinysr.calibration.ranges.inputs import METHODS, layer_inputs
from tinysr.calibration.traced.fake import fake_quantized
from tinysr.errors import CalibrationError, UnsupportedError
from tinysr.export import BakedTinySR, ExportOptions, bake, export_bundle
from tinysr.export.model.equalise import equalisable, equalised
from tinysr.export.model.integers import layers, quantize
from tinysr.export.plans.files import load_any_plan
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.export.plans.quantization import (
    KEPT_IN,
    QUANTIZED,
    Equalised,
    Format,
    KeptLayer,
    QuantizationPlan,
    load_quantization,
    quantization_text,
)
from tinysr.manifest import Manifest
from tinysr.models import Loaded
from tinysr.parity import eager_reference, gate_bundle
from tinysr.runtime.backends.onnxruntime import OnnxRuntimeBackend
from tinysr.suite import suite

QKV = "transformer.transformer_blocks.0.attn.to_qkv"
CONV = "decoder.layers.2.conv.2"
SAME = 5e-3
"""Of a graph against its simulation: a value between two integers may fall to either."""

HALF = 2e-3
"""Of what is left in fp16."""

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def ranges(baked: BakedTinySR) -> dict[str, float]:
    seen = layer_inputs(baked, calibration_images(TILE, limit=15))
    return {path: METHODS["min-max"](found) for path, found in seen.items()}


def make_plan(
    loaded: Loaded, precision: Format, ranges: dict[str, float], *keep: str, to: str | None = None
) -> QuantizationPlan:
    return QuantizationPlan(
        model_sha256=loaded.source.sha256,
        tile=TILE,
        precision=precision,
        keep=tuple(
            KeptLayer.model_validate(
                {
                    "module": m,
                    "precision": to or KEPT_IN["onnx"][precision][0],
                    "reason": 'a "big" one',
                }
            )
            for m in keep
        ),
        ranges=ranges if precision == "int8" else {},
    )


def kept(module: str, precision: str = "fp16") -> dict[str, str]:
    return {"module": module, "precision": precision}


def export(loaded: Loaded, folder: Path, plan: QuantizationPlan) -> Manifest:
    half = PrecisionPlan(model_sha256=plan.model_sha256, tile=TILE)
    options = ExportOptions(
        tile=TILE,
        precision=plan.precision,
        plan=half if plan.precision == "int8" else None,
        quantization=(plan,),
    )
    return export_bundle(loaded, folder, options)


def graph(folder: Path, stage: str, precision: str) -> onnx.ModelProto:
    return onnx.load(folder / "onnx" / f"{stage}.{precision}.onnx")


def rms(error: torch.Tensor) -> float:
    return float(error.square().mean().sqrt())


def as_written(path: Path, given: np.ndarray) -> np.ndarray:
    """Run a graph without optimizations, which move rounding about."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options)
    found: np.ndarray = session.run(None, {session.get_inputs()[0].name: given})[0]
    return found


def test_a_plan_is_read_as_it_was_written(
    loaded: Loaded, ranges: dict[str, float], tmp_path: Path
) -> None:
    made = make_plan(loaded, "int8", ranges, QKV).model_copy(
        update={"equalise": (Equalised(module=CONV, exponents=(1, 0, -2)),), "method": "min-max"}
    )
    path = tmp_path / "int8.toml"
    path.write_text(quantization_text(made), encoding="utf-8")
    assert load_quantization(path) == made
    assert load_any_plan(path).sha256 == made.sha256


def test_the_precision_says_what_kind_of_plan_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(f'model_sha256 = "{"0" * 64}"\ntile = 16\n', encoding="utf-8")
    assert isinstance(load_any_plan(path), PrecisionPlan)
    path.write_text(f'model_sha256 = "{"0" * 64}"\ntile = 16\nprecision = "int7"\n')
    with pytest.raises(CalibrationError, match="at precision: Input should be 'fp16'"):
        load_any_plan(path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"keep": [kept("decoder.layers.99")]}, "did you mean 'decoder.layers"),
        ({"keep": [kept("decoder")]}, r"expected 'decoder\.\*'"),
        ({"keep": [kept(QKV, "w8")]}, "in w8: expected fp16 in a plan for int8"),
        ({"ranges": {}}, "no range for 'transformer"),
        ({"equalise": [{"module": "nothing", "exponents": [0]}]}, "the model does not have"),
    ],
)
def test_a_plan_that_does_not_fit_the_model_is_refused(
    change: dict[str, object],
    problem: str,
    loaded: Loaded,
    baked: BakedTinySR,
    ranges: dict[str, float],
) -> None:
    data = make_plan(loaded, "int8", ranges).model_dump() | change
    plan = QuantizationPlan.model_validate(data)
    with pytest.raises(CalibrationError, match=problem):
        plan.formats(layers(baked))


def test_ranges_must_be_above_zero(loaded: Loaded) -> None:
    with pytest.raises(ValueError, match="expected a range above 0, found -1"):
        make_plan(loaded, "int8", {QKV: -1.0})


def test_a_plan_of_another_model_is_refused(loaded: Loaded, tmp_path: Path) -> None:
    plan = make_plan(loaded, "w8", {}).model_copy(update={"model_sha256": "0" * 64})
    with pytest.raises(CalibrationError, match="w8 plan is of another model"):
        export(loaded, tmp_path / "new", plan)
    assert not (tmp_path / "new").exists()


def test_plans_must_be_for_what_is_asked_for(loaded: Loaded) -> None:
    plan = make_plan(loaded, "w8", {})
    with pytest.raises(UnsupportedError, match="expected the precision w8, found w4"):
        ExportOptions(tile=TILE, precision="w4", quantization=(plan,))
    with pytest.raises(UnsupportedError, match="one plan for each precision"):
        ExportOptions(tile=TILE, precision="w8", quantization=(plan, plan))
    with pytest.raises(UnsupportedError, match="found on tiles of 16, and the export's are 32"):
        ExportOptions(tile=32, precision="w8", quantization=(plan,))


def test_without_a_plan_there_are_no_integers(loaded: Loaded, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="fp16 needs a precision plan"):
        export_bundle(loaded, tmp_path / "new", ExportOptions(tile=TILE, precision="int8"))


@pytest.mark.parametrize(("axis", "block", "bits"), [(0, 0, 8), (1, 0, 8), (0, 16, 8), (1, 8, 4)])
def test_rounded_weights_are_near_and_symmetric(axis: int, block: int, bits: int) -> None:
    weight = noise(32, 24) - 0.5
    found = quantize(weight, axis=axis, block=block, bits=bits)
    largest = 127 if bits == 8 else 7
    assert int(found.integers.abs().max()) <= largest
    error = (found.dequantized() - weight).abs().max()
    # In 4 bits the largest values of a block may be cut off, by three tenths at most.
    assert error <= float(found.scales.max()) * (0.5001 if bits == 8 else 0.3 * largest + 0.5)
    assert torch.equal(
        quantize(-weight, axis=axis, block=block, bits=bits).integers, -found.integers
    )


def test_zeros_stay_zeros() -> None:
    found = quantize(torch.zeros(4, 8), axis=1, block=4, bits=4)
    assert torch.equal(found.dequantized(), torch.zeros(4, 8))


@pytest.mark.parametrize("precision", QUANTIZED)
def test_graphs_compute_what_the_simulation_does(
    precision: Format,
    loaded: Loaded,
    baked: BakedTinySR,
    ranges: dict[str, float],
    tmp_path: Path,
) -> None:
    plan = make_plan(loaded, precision, ranges, "decoder.layers.0")
    manifest = export(loaded, tmp_path / "made", plan)
    fake = fake_quantized(baked, plan.formats(layers(baked)), plan.ranges)
    image = noise(1, 3, TILE, TILE)
    for stage in ("encoder", "decoder", "upscale"):
        given = fake.encoder(image) if stage == "decoder" else image
        path = tmp_path / "made" / "onnx" / f"{stage}.{precision}.onnx"
        found = as_written(path, given.numpy())
        expected, exact = (
            m(given) if stage == "upscale" else m.get_submodule(stage)(given) for m in (fake, baked)
        )
        if precision == "int8":
            # What fp16 rounds before falls to another integer now and then: errors are as large.
            simulated = rms(expected - exact)
            error = rms(torch.from_numpy(found) - exact)
            assert 0.8 * simulated <= error <= 1.25 * simulated + HALF * exact.std()
        else:
            assert rms(torch.from_numpy(found) - expected) <= SAME * expected.std()
    entry = manifest.quantization_plans[precision]
    assert load_quantization(tmp_path / "made" / entry.path) == plan
    sizes = {a.precision: sum(d.size for d in a.data) for a in manifest.artifacts}
    assert sizes[precision] < sizes["fp32"] / 2


def test_int8_is_symmetric_everywhere_and_kept_layers_are_left_alone(
    loaded: Loaded, ranges: dict[str, float], tmp_path: Path
) -> None:
    export(loaded, tmp_path / "made", make_plan(loaded, "int8", ranges, "decoder.layers.0"))
    model = graph(tmp_path / "made", "upscale", "int8")
    arrays = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    pairs = [n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    points = [arrays[node.input[2]] for node in pairs]
    assert {point.dtype for point in points} == {np.dtype(np.int8)}
    assert not any(point.any() for point in points)
    assert f"{QKV}.weight_quantized" in arrays
    assert "decoder.layers.0.weight" in arrays
    scale = arrays[f"{QKV}.input_scale"]
    assert scale.dtype == arrays["decoder.layers.0.weight"].dtype == np.float16
    assert scale == pytest.approx(ranges[QKV] / 127, rel=2**-10)


def test_outputs_of_tiny_weights_keep_them_in_int8(tmp_path: Path) -> None:
    """Their scale is small for fp16, of which onnxruntime's tools would make 1."""
    path, model = "transformer.proj_out", tiny_model()
    with torch.no_grad():
        model.transformer.proj_out.weight *= 1e-2
    loaded = as_loaded(model)
    weight = bake(model, TILE).get_submodule(path).get_parameter("weight")
    ranges = dict.fromkeys(layers(bake(model, TILE)), 8.0)
    export(loaded, tmp_path / "made", make_plan(loaded, "int8", ranges))
    held = graph(tmp_path / "made", "transformer", "int8").graph.initializer
    arrays = {i.name: onnx.numpy_helper.to_array(i) for i in held}
    scale = arrays[f"{path}.weight_scale"]
    assert scale.dtype == np.float16
    assert np.finfo(np.float16).tiny <= scale.min() <= scale.max() < 1e-3
    found = arrays[f"{path}.weight_quantized"] * scale.astype(np.float32)
    assert abs(found - weight.detach().numpy()).max() <= 0.51 * scale.max()


def test_four_bits_are_four_bits(loaded: Loaded, tmp_path: Path) -> None:
    export(loaded, tmp_path / "made", make_plan(loaded, "w4", {}, CONV, to="w8"))
    model = graph(tmp_path / "made", "upscale", "w4")
    kinds = {i.name: i.data_type for i in model.graph.initializer}
    assert kinds[f"{QKV}.weight.integers"] == onnx.TensorProto.INT4
    assert kinds[f"{CONV}.weight.integers"] == onnx.TensorProto.INT8
    (node,) = (n for n in model.graph.node if n.output[0] == f"{QKV}.weight")
    assert {a.name: a.i for a in node.attribute} == {"axis": 0, "block_size": 32}


def test_equalising_changes_no_result(baked: BakedTinySR) -> None:
    generator = np.random.default_rng(0)
    entries = []
    for path in equalisable(baked):
        weight = baked.get_submodule(path).get_parameter("weight")
        count = weight.shape[1 if weight.ndim == 4 else 0]
        entries.append(
            Equalised(module=path, exponents=tuple(generator.integers(-4, 5, count).tolist()))
        )
    assert len(entries) >= 6
    image = noise(1, 3, TILE, TILE)
    assert difference(equalised(baked, entries)(image), baked(image)) <= 1e-5


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (Equalised(module="decoder.layers.0", exponents=(0,)), "follows no layer or norm"),
        (Equalised(module=QKV, exponents=(0,)), "expected 64 exponents, found 1"),
    ],
)
def test_what_can_not_be_equalised_is_named(
    entry: Equalised, problem: str, baked: BakedTinySR
) -> None:
    with pytest.raises(CalibrationError, match=problem):
        equalised(baked, [entry])


@pytest.mark.parametrize("precision", QUANTIZED)
def test_the_plan_that_is_found_holds_its_budget_and_its_gate(
    precision: Format, loaded: Loaded, tmp_path: Path
) -> None:
    plan, result = find_quantization(loaded, precision, tile=TILE)
    assert result.passed
    assert bool(plan.method) == (precision == "int8")
    assert all(entry.reason for entry in plan.keep)
    export(loaded, tmp_path / "made", plan)
    references = eager_reference(loaded.model, suite(TILE))
    report = gate_bundle(tmp_path / "made", references, backends=[OnnxRuntimeBackend()])
    assert report.passed, report.failure


def test_a_plan_that_rounds_too_much_does_not_hold(
    loaded: Loaded, ranges: dict[str, float]
) -> None:
    narrow = {path: value / 100 for path, value in ranges.items()}
    found = held_to_budget(loaded, make_plan(loaded, "int8", narrow))
    assert not found.passed
    assert "at least 32" in found.said


def test_infinity_on_a_photo_breaks_the_budget() -> None:
    """Clamped, it would be white, and may be near the truth."""
    (photo, *_) = degraded_photos(TILE)

    class Infinite(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.full((1, 3, 4 * TILE, 4 * TILE), torch.inf)

    assert _truth_db(cast(BakedTinySR, Infinite()), photo) == -np.inf
    assert not BudgetResult(image="", worst_db=99, lost_db=np.inf, gate_db=32).passed
