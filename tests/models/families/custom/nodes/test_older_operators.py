"""Older forms of operators, masks and sizes: what ONNX Runtime gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.support.custom_networks import compute, difference
from tests.support.onnx_files import image_model, ints, scales, write
from tinysr.errors import UnsupportedError
from tinysr.models.families.custom.build import build_network
from tinysr.models.families.custom.read_onnx import read_onnx

SHAPE = (2, 3, 8, 6)
TOLERANCE = 1e-5

rng = np.random.default_rng(6)


def floats(*shape: int) -> NDArray[Any]:
    return rng.uniform(0.1, 1, shape).astype(np.float32)


def save(path: Path, nodes: list[Any], tensors: dict[str, NDArray[Any]], opset: int = 21) -> Path:
    return write(path, image_model(nodes, tensors, opset=opset))


def test_choices_and_splits_give_what_onnx_runtime_gives(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Split", ["image"], ["a", "b", "c"], axis=1, num_outputs=3),
        helper.make_node("Greater", ["a", "b"], ["more"]),
        helper.make_node("Where", ["more", "a", "limit"], ["d"]),
        helper.make_node("LessOrEqual", ["c", "limit"], ["less"]),
        helper.make_node("Not", ["less"], ["not"]),
        helper.make_node("Cast", ["not"], ["e"], to=TensorProto.FLOAT),
        helper.make_node("Shape", ["a"], ["shape"]),
        helper.make_node("Expand", ["limit", "shape"], ["f"]),
        helper.make_node("Concat", ["d", "e", "f"], ["out"], axis=1),
    ]
    path = save(tmp_path / "choices.onnx", nodes, {"limit": scales(0.4).reshape(1, 1, 1, 1)})
    image = torch.rand(SHAPE)
    assert difference(build_network(read_onnx(path), {})(image), compute(path, image)) == 0


def test_masks_give_what_onnx_runtime_gives(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Less", ["image", "third"], ["a"]),
        helper.make_node("GreaterOrEqual", ["image", "limit"], ["b"]),
        helper.make_node("Or", ["a", "b"], ["c"]),
        helper.make_node("Equal", ["image", "image"], ["d"]),
        helper.make_node("And", ["c", "d"], ["e"]),
        helper.make_node("Where", ["e", "limit", "image"], ["out"]),
    ]
    tensors = {"third": scales(1 / 3).reshape(()), "limit": scales(0.7)}
    path = save(tmp_path / "masks.onnx", nodes, tensors)
    image = torch.rand(SHAPE)
    assert difference(build_network(read_onnx(path), {})(image), compute(path, image)) == 0


OLD: dict[str, tuple[int, list[Any]]] = {
    "squeeze and unsqueeze": (
        11,
        [
            helper.make_node("Unsqueeze", ["image"], ["a"], axes=[1, 4]),
            helper.make_node("Squeeze", ["a"], ["out"], axes=[4, 1]),
        ],
    ),
    "split": (
        12,
        [
            helper.make_node("Split", ["image"], ["a", "b"], axis=1, split=[1, 2]),
            helper.make_node("Concat", ["b", "a"], ["out"], axis=1),
        ],
    ),
    "reduce": (17, [helper.make_node("ReduceMean", ["image"], ["out"], axes=[1])]),
    "sum": (11, [helper.make_node("ReduceSum", ["image"], ["out"], axes=[2], keepdims=0)]),
    "softmax": (11, [helper.make_node("Softmax", ["image"], ["out"], axis=-1)]),
    "squeeze all": (
        21,
        [
            helper.make_node("Shape", ["image"], ["n"], end=1),
            helper.make_node("Squeeze", ["n"], ["one"]),
            helper.make_node("Cast", ["one"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["image", "f"], ["out"]),
        ],
    ),
    "gemm": (
        13,
        [
            helper.make_node("GlobalAveragePool", ["image"], ["a"]),
            helper.make_node("Flatten", ["a"], ["b"]),
            helper.make_node("Gemm", ["b", "w", "v"], ["out"], alpha=0.5, beta=2.0, transB=1),
        ],
    ),
    "gemm of columns": (
        13,
        [
            helper.make_node("GlobalMaxPool", ["image"], ["a"]),
            helper.make_node("Flatten", ["a"], ["b"]),
            helper.make_node("Gemm", ["b", "u"], ["out"]),
        ],
    ),
    "sizes": (
        21,
        [
            helper.make_node("Shape", ["image"], ["s"]),
            helper.make_node("Slice", ["s", "two", "four"], ["hw"]),
            helper.make_node("Cast", ["hw"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["f", "half"], ["g"]),
            helper.make_node("Floor", ["g"], ["h"]),
            helper.make_node("Cast", ["h"], ["i"], to=TensorProto.INT64),
            helper.make_node("Slice", ["s", "zero", "two"], ["nc"]),
            helper.make_node("Concat", ["nc", "i"], ["size"], axis=0),
            helper.make_node("Resize", ["image", "", "", "size"], ["out"], mode="linear"),
        ],
    ),
}


@pytest.mark.parametrize("name", OLD)
def test_older_forms_and_sizes_give_what_onnx_runtime_gives(name: str, tmp_path: Path) -> None:
    opset, nodes = OLD[name]
    tensors: dict[str, NDArray[Any]] = {
        "w": floats(5, 3),
        "u": floats(3, 4),
        "v": floats(5),
        "half": scales(1.5),
        "zero": ints(0),
        "two": ints(2),
        "four": ints(4),
    }
    used = {one for node in nodes for one in node.input}
    path = save(
        tmp_path / "old.onnx", nodes, {n: t for n, t in tensors.items() if n in used}, opset
    )
    image = torch.rand(SHAPE)
    found = build_network(read_onnx(path), {})(image)
    assert difference(found, compute(path, image)) <= TOLERANCE


def test_an_old_softmax_of_several_axes_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "s.onnx", [helper.make_node("Softmax", ["image"], ["out"])], {}, 11)
    with pytest.raises(UnsupportedError, match="opset 13 or later"):
        build_network(read_onnx(path), {})


def test_norms_and_activations_that_onnx_runtime_does_not_know_yet(tmp_path: Path) -> None:
    norm = [helper.make_node("RMSNormalization", ["image", "w"], ["out"], epsilon=1e-3)]
    path = save(tmp_path / "rms.onnx", norm, {"w": floats(6)}, 23)
    image = torch.rand(SHAPE)
    weight = read_onnx(path).tensors["w"]
    expected = image / (image.square().mean(-1, keepdim=True) + 1e-3).sqrt()
    found = build_network(read_onnx(path), {})(image)
    torch.testing.assert_close(found, expected * torch.from_numpy(weight))
    swish = save(
        tmp_path / "swish.onnx", [helper.make_node("Swish", ["image"], ["out"], alpha=1.5)], {}, 24
    )
    found = build_network(read_onnx(swish), {})(image)
    torch.testing.assert_close(found, image * torch.sigmoid(1.5 * image))
