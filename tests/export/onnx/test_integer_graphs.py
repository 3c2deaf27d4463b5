"""Graphs of integers compute what the plan says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tests.support.quantization import CONV, QKV, export, graph, make_plan
from tests.support.tiny_models import TILE, as_loaded, noise, tiny_model
from tinysr.calibration.traced.fake import fake_quantize
from tinysr.export import BakedTinySR, bake
from tinysr.export.model.integers import find_layers
from tinysr.export.plans.quantization import QUANTIZED, Format, load_quantization
from tinysr.models import Loaded

SAME = 5e-3
"""Of a graph against its simulation: a value between two integers may fall to either."""

HALF = 2e-3
"""Of what is left in fp16."""

pytestmark = pytest.mark.usefixtures("one_thread")


def rms(error: torch.Tensor) -> float:
    return float(error.square().mean().sqrt())


def as_written(path: Path, given: np.ndarray) -> np.ndarray:
    """Run a graph without optimizations, which move rounding about."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options)
    found: np.ndarray = session.run(None, {session.get_inputs()[0].name: given})[0]
    return found


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
    fake = fake_quantize(baked, plan.formats(find_layers(baked)), plan.ranges)
    image = noise(1, 3, TILE, TILE)
    for stage in ("encoder", "decoder", "upscale"):
        given = fake.get_submodule("encoder")(image) if stage == "decoder" else image
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
    ranges = dict.fromkeys(find_layers(bake(model, TILE)), 8.0)
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
