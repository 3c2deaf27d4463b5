"""Graphs in int8 hold structure alone, and take layers beside norms as they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from tests.support.norm_graphs import Normed, Staged, export_network, run_graph
from tests.support.normed import SIDE
from tests.support.tiny_models import TILE, noise
from tests.support.tracing import Traced
from tinysr.calibration.traced.fake import fake_quantize
from tinysr.errors import UnsupportedError
from tinysr.export import BakedTinySR
from tinysr.export.model.integers import find_layers
from tinysr.export.onnx.graph import StageGraph
from tinysr.export.onnx.insert_qdq import int8_graph
from tinysr.export.onnx.integer_graphs import quantize_graphs
from tinysr.export.onnx.simplify import simplify
from tinysr.export.plans.quantization import QUANTIZED, Format, QuantizationPlan

pytestmark = pytest.mark.usefixtures("one_thread")

NORMS = ("InstanceNormalization", "LayerNormalization", "Sigmoid", "Gelu")


@pytest.fixture(scope="module")
def normed() -> Staged:
    torch.manual_seed(3)
    return Staged(Normed())


@pytest.fixture(scope="module")
def graph(normed: Staged) -> StageGraph:
    return export_network(normed)


@pytest.fixture(scope="module")
def folded() -> tuple[Staged, StageGraph]:
    model = Staged(Normed(laid_out=False))
    return model, export_network(model)


def plan(precision: Format, ranges: dict[str, float]) -> QuantizationPlan:
    return QuantizationPlan(
        model_sha256="0" * 64,
        tile=SIDE,
        precision=precision,
        ranges=ranges if precision == "int8" else {},
    )


def count(graph: StageGraph) -> Counter[str]:
    return Counter(node.op_type for node in graph.model.graph.node)


@pytest.mark.parametrize("precision", QUANTIZED)
def test_layers_beside_norms_are_quantized_and_norms_are_left_alone(
    precision: Format, normed: Staged, graph: StageGraph, tmp_path: Path
) -> None:
    layers = find_layers(normed)
    assert [*layers] == ["encoder.second", "encoder.linear"]
    ranges = dict.fromkeys(layers, 6.0)
    (found,), tensors = quantize_graphs([graph], normed, plan(precision, ranges))
    pairs = {"DequantizeLinear": 4, "QuantizeLinear": 2}
    added = Counter(pairs) if precision == "int8" else Counter({"DequantizeLinear": 2})
    assert count(found) == count(graph) + added
    assert all(count(found)[kind] for kind in NORMS)
    fake = fake_quantize(normed, dict.fromkeys(layers, precision), ranges)
    image = noise(1, 3, SIDE, SIDE)
    expected = fake(image)
    assert float((expected - normed(image)).abs().max()) > 1e-3
    error = run_graph(found, {**normed.state_dict(), **tensors}, image, tmp_path) - expected
    assert float(error.square().mean().sqrt()) < 5e-3 * float(expected.std())


@pytest.mark.parametrize("precision", QUANTIZED)
def test_a_linear_whose_weight_became_a_constant_is_refused(
    precision: Format, folded: tuple[Staged, StageGraph]
) -> None:
    model, graph = folded
    ranges = dict.fromkeys(find_layers(model), 6.0)
    with pytest.raises(UnsupportedError, match=r"'encoder\.linear': expected its weight among"):
        quantize_graphs([graph], model, plan(precision, ranges))


def test_no_weight_is_in_the_graph(baked: BakedTinySR, traced_once: Traced) -> None:
    stage = simplify(traced_once(baked, "transformer", tile=TILE, batch=1))
    ranges = dict.fromkeys(find_layers(baked), 6.0)
    graph, arrays = int8_graph(stage, baked.state_dict(), ranges)
    held = {i.name: i.ByteSize() for i in graph.model.graph.initializer}
    assert max(held.values()) < 1024
    assert sum(array.nbytes for array in arrays.values()) > 4 * graph.model.ByteSize()
    assert {*arrays} <= {*graph.weights}
    assert {value.name for value in graph.model.graph.input} == {"latents", *graph.weights}


def test_an_operation_that_int8_does_not_know_is_refused(graph: StageGraph) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    (node,) = (n for n in model.graph.node if "encoder.second.weight" in n.input)
    node.op_type = "ConvTranspose"
    changed = StageGraph(stage="encoder", model=model, weights=graph.weights)
    with pytest.raises(
        UnsupportedError, match=r"'encoder\.second': expected Conv or MatMul to read"
    ):
        int8_graph(changed, {"encoder.second.weight": torch.zeros(1)}, {"encoder.second": 1.0})


@pytest.mark.parametrize("largest", [1e-4, 60000.0])
def test_small_and_large_inputs_have_a_scale_in_fp16(largest: float, graph: StageGraph) -> None:
    tensors = {"encoder.second.weight": torch.randn(32, 32, 3, 3).half()}
    found, _ = int8_graph(graph, tensors, {"encoder.second": largest})
    (scale,) = (
        onnx.numpy_helper.to_array(i)
        for i in found.model.graph.initializer
        if i.name == "encoder.second.input_scale"
    )
    assert scale.dtype == np.float16
    assert scale == pytest.approx(max(largest / 127, 2**-14), rel=1e-3)


def test_a_layer_that_is_called_twice_is_rounded_each_time() -> None:
    weight = helper.make_tensor_value_info("encoder.a.weight", 1, [4, 4])
    ends = [helper.make_tensor_value_info(name, 1, [2, 4]) for name in ("x", "y")]
    nodes = [
        helper.make_node("MatMul", ["x", "encoder.a.weight"], ["h"], "first"),
        helper.make_node("MatMul", ["h", "encoder.a.weight"], ["y"], "second"),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "net", [ends[0], weight], [ends[1]]),
        opset_imports=[helper.make_opsetid("", 20)],
    )
    graph = StageGraph(stage="encoder", model=model, weights=("encoder.a.weight",))
    found, _ = int8_graph(graph, {"encoder.a.weight": torch.eye(4)}, {"encoder.a": 1.0})
    onnx.checker.check_model(found.model, full_check=True)
    assert count(found) == {"DequantizeLinear": 3, "QuantizeLinear": 2, "MatMul": 2}
