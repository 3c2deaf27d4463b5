"""Bisect: one wrong weight in a graph, and the module it belongs to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from tinysr.errors import BundleError
from tinysr.parity import BisectResult, bisect
from tinysr.parity.bisection import relative_error

SIDE = 8


class Residual(nn.Module):
    """A convolution and what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, 1, 1)
        self.fuse = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        fused: Tensor = self.fuse(self.conv(x) + x)
        return fused


class Stage(nn.Module):
    """Three layers, the last of which gives the stage's output."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, 1, 1), Residual(), Residual(), nn.Conv2d(4, 2, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class Baked(nn.Module):
    """A stage where a baked model has one."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Stage()


def write_graph(baked: Baked, folder: Path, broken: str = "", batch: int | str = "N") -> Path:
    """Write the stage as the exporter would: values named by module, weights beside the graph."""
    nodes, weights = [], []

    def conv(path: str, source: str, output: str, pad: int) -> None:
        for kind, tensor in baked.get_submodule(path).named_parameters():
            array = tensor.detach().numpy().copy()
            if broken == path and kind == "weight":
                array.flat[5] += 0.5
            weights.append(numpy_helper.from_array(array, f"{path}.{kind}"))
        inputs = [source, f"{path}.weight", f"{path}.bias"]
        nodes.append(helper.make_node("Conv", inputs, [output], pads=[pad] * 4))

    conv("encoder.layers.0", "image", "encoder.layers.0", 1)
    for i in (1, 2):
        here, before = f"encoder.layers.{i}", f"encoder.layers.{i - 1}"
        conv(f"{here}.conv", before, f"{here}.conv", 1)
        nodes.append(helper.make_node("Add", [f"{here}.conv", before], [f"sum_{i}"]))
        nodes.append(helper.make_node("Relu", [f"sum_{i}"], [here]))
    conv("encoder.layers.3", "encoder.layers.2", "latents", 0)
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("latents", TensorProto.FLOAT, [batch, 2, SIDE, SIDE])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = folder / "encoder.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


@pytest.fixture
def baked() -> Baked:
    torch.manual_seed(80)
    return Baked().eval()


@pytest.fixture
def image() -> NDArray[np.float32]:
    return np.random.default_rng(80).random((3, SIDE, SIDE), np.float32)


def taken_apart(path: Path, baked: Baked, image: NDArray[np.float32]) -> BisectResult:
    return bisect(
        path,
        baked,
        stage="encoder",
        precision="fp32",
        image="noise",
        inputs=image,
        label="onnx/encoder fp32",
    )


@pytest.mark.parametrize(
    "module",
    ["encoder.layers.0", "encoder.layers.1.conv", "encoder.layers.2.conv", "encoder.layers.3"],
)
def test_the_module_with_the_broken_weight_is_named(
    module: str, baked: Baked, image: NDArray[np.float32], tmp_path: Path
) -> None:
    found = taken_apart(write_graph(baked, tmp_path, broken=module), baked, image)
    assert found.module == module
    departing = [row.module for row in found.rows if row.departs]
    assert departing[0] == module
    assert all(
        row.error is not None and row.error < 1e-5
        for row in found.rows[: [row.module for row in found.rows].index(module)]
    )


def test_a_right_graph_is_not_blamed(
    baked: Baked, image: NDArray[np.float32], tmp_path: Path
) -> None:
    found = taken_apart(write_graph(baked, tmp_path), baked, image)
    assert found.module is None
    assert not any(row.departs for row in found.rows)
    assert "the graph is right" in found.note


def test_a_graph_of_a_fixed_batch_is_taken_apart_too(
    baked: Baked, image: NDArray[np.float32], tmp_path: Path
) -> None:
    path = write_graph(baked, tmp_path, broken="encoder.layers.1.conv", batch=3)
    assert taken_apart(path, baked, image).module == "encoder.layers.1.conv"


def test_memory_for_one_module_at_a_time_finds_the_same(
    baked: Baked, image: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinysr.parity.bisection._CHUNK_BYTES", 1)
    path = write_graph(baked, tmp_path, broken="encoder.layers.2.conv")
    found = taken_apart(path, baked, image)
    assert found.module == "encoder.layers.2.conv"
    assert found.compared == 4


def test_the_bundle_and_the_model_are_left_as_they_were(
    baked: Baked, image: NDArray[np.float32], tmp_path: Path
) -> None:
    path = write_graph(baked, tmp_path, broken="encoder.layers.0")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    taken_apart(path, baked, image)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert not any(module._forward_hooks for module in baked.modules())


def test_a_value_that_is_not_finite_departs(
    baked: Baked, image: NDArray[np.float32], tmp_path: Path
) -> None:
    path = write_graph(baked, tmp_path)
    model = onnx.load(str(path))
    next(t for t in model.graph.initializer if t.name == "encoder.layers.1.conv.bias").CopyFrom(
        numpy_helper.from_array(np.full(4, np.nan, np.float32), "encoder.layers.1.conv.bias")
    )
    onnx.save(model, str(path))
    found = taken_apart(path, baked, image)
    assert found.module == "encoder.layers.1.conv"
    assert next(row for row in found.rows if row.module == found.module).error is None


def test_a_graph_with_names_of_its_own_is_refused(
    baked: Baked, image: NDArray[np.float32], tmp_path: Path
) -> None:
    path = write_graph(baked, tmp_path)
    model = onnx.load(str(path))
    for node in model.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = name.replace("encoder.layers", "v")
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.replace("encoder.layers", "v")
    onnx.save(model, str(path))
    with pytest.raises(BundleError, match="can't be bisected"):
        taken_apart(path, baked, image)


def test_what_is_no_graph_is_refused(
    baked: Baked, image: NDArray[np.float32], tmp_path: Path
) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(b"\xff\xff\xff")
    with pytest.raises(BundleError, match="expected an ONNX graph"):
        taken_apart(path, baked, image)


def test_the_error_is_relative_to_the_largest_value() -> None:
    expected = np.array([0.0, -4.0])
    assert relative_error(np.array([1.0, -4.0]), expected) == 0.25
    assert relative_error(np.array([1.0]), expected) is None
    assert relative_error(np.array([np.nan, 0.0]), expected) is None
    assert relative_error(np.array([0.5]), np.array([0.0])) == 0.5
