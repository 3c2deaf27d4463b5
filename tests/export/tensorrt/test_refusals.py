"""What engines can't be built of, and options that can't be had: refused in one line, before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from tests.support.chains import make_chain
from tests.support.tiny_models import TILE
from tinysr.errors import BundleError, MissingBackendError, UnsupportedError
from tinysr.export.tensorrt import FLAVORS, SizeRange, TensorRTOptions, find_flavor
from tinysr.export.tensorrt.network import parse_network, read_graph
from tinysr.export.tensorrt.profiles import choose_profile
from tinysr.export.tensorrt.target import TENSORRT
from tinysr.manifest import Port

RTX = FLAVORS["rtx"]


def one_node(operation: str, path: Path, *, opset: int = 20, name: str = "") -> Path:
    port = (TensorProto.FLOAT, [1, 4, 8, 8])
    node = helper.make_node(operation, ["x"], ["y"], name=name or f"decoder.layers.3/{operation}")
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", *port)],
        [helper.make_tensor_value_info("y", *port)],
    )
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


REFUSED: dict[str, dict[str, Any]] = {
    "hardware compatibility levels": {"hardware": "ampere+"},
    "optimisation levels": {"optimization_level": 3},
    "timing cache": {"timing_cache": Path("cache")},
    "version-compatible": {"version_compatible": True},
    "compute capability 9.0: expected some of 7.5, 8.0": {"compute_capabilities": ("9.0",)},
}


@pytest.mark.parametrize("words", REFUSED)
def test_rtx_refuses_what_it_lacks_with_the_reason(words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        RTX.check(TensorRTOptions(**REFUSED[words]))


@pytest.mark.parametrize(
    "options", [{"strip": True}, {"refit": True}, {"compute_capabilities": ("current",)}], ids=str
)
def test_what_needs_a_gpu_is_refused_without_one(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinysr.export.tensorrt.flavor.find_gpu", lambda: None)
    with pytest.raises(MissingBackendError, match="with an NVIDIA GPU, found none"):
        RTX.check(TensorRTOptions(**options))


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="can't be combined"):
        TensorRTOptions(compute_capabilities=("portable", "8.6"))
    with pytest.raises(UnsupportedError, match="rising from 1"):
        SizeRange(least=2, best=1, most=3)
    with pytest.raises(UnsupportedError, match="with the tile 128 among them"):
        TensorRTOptions(sides=SizeRange(least=16, best=32, most=64)).sides_for(128, 4)
    with pytest.raises(UnsupportedError, match="multiples of 4"):
        TensorRTOptions(sides=SizeRange(least=18, best=128, most=128)).sides_for(128, 4)
    assert TensorRTOptions().sides_for(96, 24).least == 24
    with pytest.raises(UnsupportedError, match="unknown flavor 'trt'"):
        find_flavor("trt")
    port = Port(name="image", dtype="float32", shape=(1, 3, 16, 16))
    many = TensorRTOptions(batch=SizeRange(least=1, best=4, most=8))
    with pytest.raises(UnsupportedError, match="--batch dynamic"):
        choose_profile(port, make_chain(TILE), many, tile=TILE, batch=1)
    with pytest.raises(UnsupportedError, match="no engines in w4"):
        TENSORRT.check({}, ["fp32", "w4"])


def test_open_batches_get_a_profile() -> None:
    port = Port(name="latents", dtype="float32", shape=("batch", 16, 8, 8))
    many = TensorRTOptions(batch=SizeRange(least=1, best=4, most=8))
    found = choose_profile(port, make_chain(TILE), many, tile=TILE, batch=None)
    assert found.shapes == ((1, 16, 8, 8), (4, 16, 8, 8), (8, 16, 8, 8))


def test_an_op_that_tensorrt_lacks_is_named_with_its_module(tmp_path: Path) -> None:
    graph = one_node("Det", tmp_path / "det.onnx")
    with pytest.raises(UnsupportedError, match=r"operation Det of 'decoder\.layers\.3'"):
        parse_network(RTX, graph, "x")
    graph = one_node("Foo", tmp_path / "foo.onnx")
    with pytest.raises(UnsupportedError, match="Plugin not found"):
        parse_network(RTX, graph, "x")


@pytest.mark.parametrize("opset", [6, 17, 23, 99])
def test_a_wrong_opset_is_refused(tmp_path: Path, opset: int) -> None:
    graph = one_node("Relu", tmp_path / "relu.onnx", opset=opset)
    with pytest.raises(UnsupportedError, match=f"opset from 18 to 22, found {opset}"):
        read_graph(graph, "x")


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"nonsense" * 10)
    with pytest.raises(BundleError, match="is not an ONNX file"):
        read_graph(path, "x")
    with pytest.raises(UnsupportedError, match="Failed to parse"):
        parse_network(RTX, path, "x")
