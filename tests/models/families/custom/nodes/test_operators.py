"""Every operator alone: its module gives what ONNX Runtime gives."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper

from tests.support.custom_networks import compute, difference
from tests.support.onnx_files import image_model, ints, scales, write
from tinysr.errors import UnsupportedError
from tinysr.models.families.custom.build import build_network
from tinysr.models.families.custom.nodes import OPERATORS
from tinysr.models.families.custom.read_onnx import read_onnx

SHAPE = (2, 3, 8, 6)
TOLERANCE = 1e-5

rng = np.random.default_rng(5)


def floats(*shape: int) -> NDArray[Any]:
    return rng.uniform(0.1, 1, shape).astype(np.float32)


CASES: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    **{
        name.lower(): (name, ["image"], {})
        for name in (
            *("Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "HardSwish", "Identity", "Log", "Mish"),
            *("Neg", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Softplus"),
            *("Softsign", "Sqrt", "Tanh", "Celu", "Elu", "Gelu", "HardSigmoid", "LeakyRelu"),
            *("Selu", "GlobalAveragePool", "GlobalMaxPool", "Dropout"),
        )
    },
    "gelu tanh": ("Gelu", ["image"], {"approximate": "tanh"}),
    "leaky 0.3": ("LeakyRelu", ["image"], {"alpha": 0.3}),
    "add": ("Add", ["image", floats(1, 3, 1, 1)], {}),
    "add number": ("Add", ["image", np.float32(0.3)], {}),
    "sub from": ("Sub", [np.float32(1.0), "image"], {}),
    "mul itself": ("Mul", ["image", "image"], {}),
    "div": ("Div", [floats(3, 1, 1), "image"], {}),
    "pow": ("Pow", ["image", np.float32(2.0)], {}),
    "min": ("Min", ["image", floats(1)], {}),
    "max": ("Max", ["image", "image", floats(1)], {}),
    "sum": ("Sum", ["image", "image", "image"], {}),
    "mean": ("Mean", ["image", floats(1, 3, 1, 1)], {}),
    "clip": ("Clip", ["image", np.float32(0.2), np.float32(0.7)], {}),
    "clip above": ("Clip", ["image", "", np.float32(0.7)], {}),
    "prelu of four axes": ("PRelu", ["image", floats(1, 3, 1, 1)], {}),
    "prelu": ("PRelu", ["image", floats(3, 1, 1)], {}),
    "softmax": ("Softmax", ["image"], {"axis": 1}),
    "conv": ("Conv", ["image", floats(4, 3, 3, 3), floats(4)], {"pads": [1, 1, 1, 1]}),
    "conv uneven": (
        "Conv",
        ["image", floats(4, 3, 3, 2)],
        {"pads": [0, 1, 2, 0], "strides": [2, 1], "dilations": [1, 2]},
    ),
    "conv same": ("Conv", ["image", floats(3, 1, 4, 3)], {"auto_pad": "SAME_LOWER", "group": 3}),
    "transposed": (
        "ConvTranspose",
        ["image", floats(3, 4, 3, 3), floats(4)],
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ),
    "matmul": ("MatMul", ["image", floats(6, 5)], {}),
    "matmul left": ("MatMul", [floats(5, 8), "image"], {}),
    "max pool": ("MaxPool", ["image"], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "average": ("AveragePool", ["image"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "average inside": ("AveragePool", ["image"], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "average all": (
        "AveragePool",
        ["image"],
        {"kernel_shape": [3, 3], "pads": [0, 1, 2, 1], "count_include_pad": 1},
    ),
    "reduce mean": ("ReduceMean", ["image", ints(1)], {}),
    "reduce sum": ("ReduceSum", ["image", ints(2, 3)], {"keepdims": 0}),
    "reduce max": ("ReduceMax", ["image", ints(-1)], {}),
    "reduce min": ("ReduceMin", ["image"], {}),
    "reduce l1": ("ReduceL1", ["image", ints(1)], {}),
    "reduce l2": ("ReduceL2", ["image", ints(1)], {}),
    "reduce squares": ("ReduceSumSquare", ["image", ints(1)], {}),
    "batch norm": (
        "BatchNormalization",
        ["image", floats(3), floats(3), floats(3), floats(3)],
        {"epsilon": 1e-3},
    ),
    "instance norm": ("InstanceNormalization", ["image", floats(3), floats(3)], {}),
    "layer norm": ("LayerNormalization", ["image", floats(6), floats(6)], {"axis": -1}),
    "layer norm of two": ("LayerNormalization", ["image", floats(8, 6)], {"axis": -2}),
    "group norm": ("GroupNormalization", ["image", floats(3), floats(3)], {"num_groups": 3}),
    "reshape": ("Reshape", ["image", ints(0, 3, 4, -1)], {}),
    "transpose": ("Transpose", ["image"], {"perm": [0, 2, 3, 1]}),
    "transpose all": ("Transpose", ["image"], {}),
    "unsqueeze": ("Unsqueeze", ["image", ints(0, -1)], {}),
    "flatten": ("Flatten", ["image"], {"axis": 2}),
    "tile": ("Tile", ["image", ints(1, 2, 1, 3)], {}),
    "expand": ("Expand", ["image", ints(4, 1, 3, 1, 1)], {}),
    "concat": ("Concat", ["image", floats(2, 4, 8, 6), "image"], {"axis": 1}),
    "gather": ("Gather", ["image", ints(2, 0, -1)], {"axis": 1}),
    "gather one": ("Gather", ["image", np.int64(-1)], {"axis": 3}),
    "slice": ("Slice", ["image", ints(1, 0), ints(2**60, -1), ints(2, 3), ints(2, 1)], {}),
    "pad": ("Pad", ["image", ints(0, 0, 1, 2, 0, 0, 3, 0), np.float32(0.5)], {}),
    "pad less": ("Pad", ["image", ints(0, 0, -1, 2, 0, 0, 0, -2)], {}),
    "pad reflect": ("Pad", ["image", ints(1, 2, 3, 0), "", ints(2, 3)], {"mode": "reflect"}),
    "pad edge": ("Pad", ["image", ints(0, 0, 1, 2, 0, 0, 3, 0)], {"mode": "edge"}),
    "depth to space": ("DepthToSpace", ["twelve"], {"blocksize": 2}),
    "depth to space crd": ("DepthToSpace", ["twelve"], {"blocksize": 2, "mode": "CRD"}),
    "space to depth": ("SpaceToDepth", ["image"], {"blocksize": 2}),
    "nearest": (
        "Resize",
        ["image", "", floats(0).ravel(), ""],
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    ),
    "nearest by default": ("Resize", ["image", "", scales(1, 1, 3, 2)], {}),
    "nearest down": (
        "Resize",
        ["image", "", scales(1, 1, 0.5, 0.5)],
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    ),
    "linear": ("Resize", ["image", "", scales(1, 1, 2, 2.5)], {"mode": "linear"}),
    "linear corners": (
        "Resize",
        ["image", "", scales(1, 1, 2, 3)],
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
    "linear to a size": ("Resize", ["image", "", "", ints(2, 3, 16, 9)], {"mode": "linear"}),
    "cubic": ("Resize", ["image", "", scales(1, 1, 4, 2)], {"mode": "cubic"}),
}
CASES["nearest"][1][2:] = [scales(1, 1, 2, 2)]


def make_case(path: Path, name: str) -> Path:
    operator, inputs, attributes = CASES[name]
    tensors = {
        f"c{i}": one for i, one in enumerate(inputs) if isinstance(one, np.ndarray | np.generic)
    }
    names = [one if isinstance(one, str) else f"c{i}" for i, one in enumerate(inputs)]
    nodes = [helper.make_node(operator, names, ["out"], **attributes)]
    if "twelve" in names:
        nodes.insert(0, helper.make_node("Concat", ["image"] * 4, ["twelve"], axis=1))
    held = {name: np.asarray(array) for name, array in tensors.items()}
    return write(path / "one.onnx", image_model(nodes, held, opset=21))


@pytest.mark.parametrize("name", CASES)
def test_an_operator_gives_what_onnx_runtime_gives(name: str, tmp_path: Path) -> None:
    path = make_case(tmp_path, name)
    network = build_network(read_onnx(path), {})
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    image = torch.rand(SHAPE, generator=generator) * 1.5 + 0.01
    assert difference(network(image), compute(path, image)) <= TOLERANCE


def test_all_operators_are_tested() -> None:
    tested = {operator for operator, _, _ in CASES.values()}
    elsewhere = {
        "And",
        "Cast",
        "ConstantOfShape",
        "Equal",
        "Gemm",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
    }
    elsewhere |= {"Not", "Or", "RMSNormalization", "Split", "Squeeze", "Swish", "Where"}
    assert set(OPERATORS) == tested | elsewhere


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "words"),
    [
        (
            "Resize",
            ["image", "", scales(1, 1, 2, 2)],
            {"mode": "cubic", "antialias": 1},
            "antialias",
        ),
        ("Resize", ["image", "", scales(1, 2, 2, 2)], {}, "expected 1 for images"),
        (
            "Resize",
            ["image", "", scales(1, 1, 2, 2)],
            {"nearest_mode": "ceil", "coordinate_transformation_mode": "asymmetric"},
            "asymmetric and floor",
        ),
        ("Conv", ["image", "image"], {}, "expected a constant"),
        ("Conv", ["image", floats(4, 3, 3)], {}, "two sides"),
        ("Conv", ["image", floats(4, 3, 3, 3)], {"group": 3}, "divisor of 4"),
        (
            "Conv",
            ["image", floats(4, 3, 3, 3)],
            {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
            "explicit pads",
        ),
        ("AveragePool", ["image"], {"kernel_shape": [2, 2], "ceil_mode": 1}, "ceil_mode"),
        ("Slice", ["image", ints(-1), ints(-9), ints(3), ints(-1)], {}, "positive"),
        ("Pad", ["image", ints(0, 0, 1, 1, 0, 0, 1, 1)], {"mode": "wrap"}, "wrap"),
        ("BatchNormalization", ["image", *[floats(3)] * 4], {"training_mode": 1}, "training_mode"),
        ("DepthToSpace", ["image"], {"blocksize": 0}, "blocksize"),
        ("PRelu", ["image", floats(6)], {}, "expected slopes"),
    ],
)
def test_what_can_not_be_expressed_is_refused_by_the_nodes_name(
    operator: str, inputs: list[Any], attributes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    CASES["refused"] = (operator, inputs, attributes)
    try:
        path = make_case(tmp_path, "refused")
    finally:
        del CASES["refused"]
    with pytest.raises(UnsupportedError, match=words) as caught:
        build_network(read_onnx(path), {})
    assert operator in str(caught.value)
    assert "\n" not in str(caught.value)
