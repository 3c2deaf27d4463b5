"""Simplifying is proved, by what the graphs compute."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.graphs import STAGES, artifact, file, graph, model, tile_shape
from tests.support.tiny_models import noise
from tinysr.errors import GateError
from tinysr.export.onnx.graph import StageGraph
from tinysr.export.onnx.simplify import (
    SIMPLIFY_TOLERANCE,
    compute,
    prove_simplified,
    simplify,
)
from tinysr.stages import StageName

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("stage", STAGES)
def test_simplifying_is_proved(stage: StageName, bundle: Path) -> None:
    proof = artifact(bundle, stage).simplified
    assert proof is not None
    assert proof.difference <= SIMPLIFY_TOLERANCE
    assert proof.nodes_after <= proof.nodes_before
    assert proof.nodes_after == len(graph(bundle, stage).node)


def test_the_whole_is_proved_by_what_its_stages_computed(bundle: Path) -> None:
    image = noise(1, *tile_shape("upscale")).numpy()
    z = compute(file(bundle, "encoder"), image)
    restored = compute(file(bundle, "transformer"), z)
    whole = compute(file(bundle, "upscale"), image)
    assert np.array_equal(whole, compute(file(bundle, "decoder"), restored))


def another_operation(proto: onnx.ModelProto) -> None:
    next(node for node in proto.graph.node if node.op_type == "Tanh").op_type = "Softsign"


def not_a_number(proto: onnx.ModelProto) -> None:
    """Take the root of what Tanh takes: noise around zero."""
    next(node for node in proto.graph.node if node.op_type == "Tanh").op_type = "Acosh"


@pytest.mark.parametrize("tamper", [another_operation, not_a_number])
def test_the_proof_fails_for_a_changed_graph(
    tamper: Callable[[onnx.ModelProto], None], bundle: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(bundle / "onnx", tmp_path / "onnx"))
    image = noise(1, *tile_shape("decoder")).numpy()
    changed = model(bundle, "decoder")
    onnx.save(changed, folder / "changed.onnx")
    plain, simplified = folder / "decoder.onnx", folder / "changed.onnx"
    expected = compute(plain, image)
    same = prove_simplified(plain, simplified, image, expected)
    assert same.difference == 0
    tamper(changed)
    onnx.save(changed, folder / "changed.onnx")
    with pytest.raises(GateError, match=r"changed\.onnx: onnxsim changed the result"):
        prove_simplified(plain, simplified, image, expected)


def test_an_input_keeps_its_sizes_when_a_reshape_is_removed() -> None:
    """A stage of open sizes computes shapes, which are constants in the graph of the whole."""
    made = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20]>
        whole (float[1,3,4,4] image) => (float[1,3,4,4] y)
        <int64[1] any = {-1}> {
            sides = Shape<start = 1>(image)
            shape = Concat<axis = 0>(any, sides)
            same = Reshape(image, shape)
            whole = Shape(same)
            flat = Reshape(same, any)
            doubled = Add(flat, flat)
            y = Reshape(doubled, whole)
        }"""
    )
    found = simplify(StageGraph(stage="upscale", model=made, weights=())).model.graph
    assert [*found.input] == [*made.graph.input]
    assert "Shape" not in {node.op_type for node in found.node}
