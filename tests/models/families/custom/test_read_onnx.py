"""Damaged and hostile ONNX files: one line each, before memory is taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from tests.support.custom_networks import compute, difference
from tests.support.onnx_files import external, image_model, write
from tinysr.errors import CheckpointError, TinySRError, UnsupportedError
from tinysr.models.families.custom import read_onnx
from tinysr.models.families.custom.build import build_network


def node(operator: str, *names: str, domain: str = "", **attributes: Any) -> Any:
    return helper.make_node(operator, list(names[:-1]), [names[-1]], domain=domain, **attributes)


def refuse(path: Path, **constants: float) -> str:
    """Return the one line in which a file is refused."""
    with pytest.raises(TinySRError) as caught:
        build_network(read_onnx(path), constants)
    words = str(caught.value)
    assert words.isprintable()
    assert path.name in words
    assert len(words) < 1200
    return words


def huge(model: Any) -> None:
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([2**30, 2**30])


def lying(model: Any) -> None:
    model.graph.initializer[0].dims[0] = 4


def negative(model: Any) -> None:
    model.graph.initializer[0].dims[0] = -3


def not_a_number(model: Any) -> None:
    values = np.frombuffer(model.graph.initializer[0].raw_data, np.float32).copy()
    values[5] = np.nan
    model.graph.initializer[0].raw_data = values.tobytes()


def a_circle(model: Any) -> None:
    model.graph.node.extend([node("Add", "b", "out", "a"), node("Relu", "a", "b")])


def missing(model: Any) -> None:
    del model.graph.initializer[0]


def twice(model: Any) -> None:
    model.graph.node.append(node("Relu", "image", "out"))


def quantized(model: Any) -> None:
    model.graph.initializer[0].data_type = TensorProto.INT4


def functions(model: Any) -> None:
    model.functions.add(name="f")


def other_output(model: Any) -> None:
    model.graph.output[0].name = "nowhere"


def two_inputs(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1]))


def two_outputs(model: Any) -> None:
    model.graph.output.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, None))


def old(model: Any) -> None:
    model.opset_import[0].version = 9


def batch_last(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4


def bytes_in(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


def a_sequence(model: Any) -> None:
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (huge, "values, expected"),
        (lying, "declares 108 values and has 81"),
        (negative, "impossible shape"),
        (not_a_number, "not numbers"),
        (a_circle, "in a circle"),
        (missing, "an initializer is missing"),
        (twice, "two values are named 'out'"),
        (quantized, "without quantization"),
        (functions, "inline"),
        (other_output, "nothing makes the output 'nowhere'"),
        (two_inputs, "expected one input, the image, found image, mask"),
        (two_outputs, "expected one output"),
        (old, "opset 9, expected"),
        (batch_last, "expected [N, 3, height, width]"),
        (bytes_in, "expected floats"),
        (a_sequence, "expected floats"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_what_is_wrong_is_said_in_a_line(
    change: Callable[[Any], None], words: str, tmp_path: Path
) -> None:
    assert words in refuse(write(tmp_path / "net.onnx", image_model(), change))


def test_all_that_is_not_supported_is_named_at_once(tmp_path: Path) -> None:
    branch = helper.make_graph([], "g", [], [])
    nodes = [
        node("ReduceSum", "image", "s", keepdims=0),
        node("If", "s", "a", then_branch=branch, else_branch=branch),
        node("NonZero", "a", "b"),
        node("FusedConv", "b", "c", domain="com.microsoft"),
        node("NonZero", "c", "d"),
        node("Relu", "d", "e", slope=2.0),
        node("Add", "e", "image", "out"),
    ]
    words = refuse(write(tmp_path / "net.onnx", image_model(nodes)))
    for name in ("If (1)", "NonZero (2)", "com.microsoft.FusedConv (1)", "Relu's attribute slope"):
        assert name in words
    assert "change the network" in words


def test_nodes_that_nobody_needs_may_be_anything(tmp_path: Path) -> None:
    model = image_model()
    model.graph.node.append(node("NonZero", "image", "unused"))
    assert build_network(read_onnx(write(tmp_path / "net.onnx", model)), {})


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("Tile", "big", "times", "t"), node("Add", "image", "t", "out")], "268,435,456"),
        ([node("Relu", "big", "out")], "does not depend on the image"),
    ],
)
def test_constants_that_would_be_huge_are_not_made(
    nodes: list[Any], words: str, tmp_path: Path
) -> None:
    tensors = {"big": np.ones(2**16, np.float32), "times": np.array([2**20], np.int64)}
    assert words in refuse(write(tmp_path / "net.onnx", image_model(nodes, tensors)))


@pytest.mark.parametrize("content", [b"", b"no", b"\x08\x07" * 99, b"PK\x03\x04" + bytes(90)])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert "ONNX file" in refuse(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found nothing"):
        read_onnx(tmp_path / "gone.onnx")


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.onnx", image_model())
    model = image_model()
    external(model, tmp_path / "net.data")
    path = write(tmp_path / "net.onnx", model)
    image = torch.rand(1, 3, 8, 8)
    assert difference(build_network(read_onnx(path), {})(image), compute(plain, image)) < 1e-6


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"location": "../net.data"}, "in the folder of"),
        ({"location": "/etc/passwd"}, "in the folder of"),
        ({"location": "..\\net.data"}, "in the folder of"),
        ({"location": ""}, "in the folder of"),
        ({"location": "gone.data"}, "expected the file with the weights"),
        ({"offset": "8"}, "takes 324 bytes"),
        ({"offset": "-8"}, "takes 324 bytes"),
        ({"length": "99999999999"}, "takes 324 bytes"),
        ({"offset": "x"}, "no number"),
    ],
)
def test_weights_elsewhere_are_refused(entries: dict[str, str], words: str, tmp_path: Path) -> None:
    model = image_model()
    external(model, tmp_path / "net.data", **entries)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_onnx(write(tmp_path / "net.onnx", model))
    assert str(caught.value).isprintable()


def test_weights_behind_a_link_are_refused(tmp_path: Path) -> None:
    model = image_model()
    external(model, tmp_path / "elsewhere.data", location="net.data")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "net.data").symlink_to(tmp_path / "elsewhere.data")
    with pytest.raises(CheckpointError, match="expected the file with the weights"):
        read_onnx(write(tmp_path / "sub" / "net.onnx", model))


def test_an_input_may_be_a_constant(tmp_path: Path) -> None:
    model = image_model(
        [node("Mul", "image", "strength", "out")],
    )
    model.graph.input.append(
        helper.make_tensor_value_info("strength", TensorProto.FLOAT, ["n", 3, 1, 1])
    )
    path = write(tmp_path / "net.onnx", model)
    image, found = torch.rand(1, 3, 4, 4), read_onnx(path)
    torch.testing.assert_close(build_network(found, {"strength": 0.5})(image), image * 0.5)
    three = build_network(found, {"strength": (0.5, 1.0, 2.0)})(image)
    torch.testing.assert_close(three, image * torch.tensor([0.5, 1, 2]).reshape(1, 3, 1, 1))
    assert "found 2 values" in refuse(path, **{"strength": [1.0, 2.0]})  # type: ignore[arg-type]
    assert "no input 'noise'" in refuse(path, noise=1.0)
    assert "expected one input, the image, found none" in refuse(path, image=1, strength=1)


def test_opsets_of_all_ages_give_the_same(tmp_path: Path) -> None:
    image = torch.rand(1, 3, 8, 8)
    for opset in (11, 13, 17, 21):
        path = write(tmp_path / f"{opset}.onnx", image_model(opset=opset))
        assert difference(build_network(read_onnx(path), {})(image), compute(path, image)) < 1e-6
    with pytest.raises(UnsupportedError, match="opset_version=20"):
        read_onnx(write(tmp_path / "new.onnx", image_model(opset=99)))
