"""The module tree of an ONNX file: it computes what the file does, and is a model like ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper
from torch import nn

from tests.support.custom_networks import (
    Rrdb,
    Span,
    Squeeze,
    Srvgg,
    Tokens,
    Unshuffled,
    compute,
    difference,
    export,
    seed,
)
from tests.support.onnx_files import image_model, write
from tinysr.errors import UnsupportedError
from tinysr.models.families.custom import Move, Network, Node, read_onnx
from tinysr.models.families.custom.build import build_network
from tinysr.models.families.custom.nodes.linear import Linear
from tinysr.models.families.custom.nodes.norms import GroupNorm

TOLERANCE = 1e-5

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "rrdb": Rrdb,
    "rrdb ×8": lambda: Rrdb(1, 3),
    "srvgg ×1": lambda: Srvgg(1),
    "srvgg ×3": lambda: Srvgg(3),
    "span": Span,
    "squeeze": Squeeze,
    "unshuffled": Unshuffled,
    "tokens": Tokens,
}

pytestmark = pytest.mark.usefixtures("one_thread")


def load(path: Path) -> Network:
    return build_network(read_onnx(path), {}).eval()


@pytest.mark.parametrize("fixed", [False, True], ids=["any size", "fixed"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_tree_gives_what_onnx_runtime_gives(name: str, fixed: bool, tmp_path: Path) -> None:
    path = export(NETWORKS[name](), tmp_path / "net.onnx", fixed=fixed)
    network = load(path)
    for size in [(1, 3, 16, 24)] if fixed else [(1, 3, 16, 24), (3, 3, 32, 16)]:
        image = torch.rand(size)
        assert difference(network(image), compute(path, image)) <= TOLERANCE


def test_every_node_is_a_module_that_computes_or_moves(tmp_path: Path) -> None:
    network = load(export(Tokens(), tmp_path / "net.onnx"))
    for module in network.children():
        assert isinstance(module, Node | Move | nn.Conv2d)
    assert {type(network.first), type(network.last)} == {nn.Conv2d}
    assert len([one for one in network.children() if isinstance(one, Linear)]) == 2
    assert all(step.module for step in network.steps if step.call.operator == "MatMul")


def test_modules_have_the_names_of_the_network_they_come_from(tmp_path: Path) -> None:
    names = dict(load(export(Rrdb(), tmp_path / "net.onnx")).named_children())
    assert {"conv_first", "body_0_convs_0", "body_1_convs_4", "ups_1", "conv_last"} <= set(names)


def test_names_are_paths_whatever_the_file_says(tmp_path: Path) -> None:
    odd = ["", "a.b/c", "a_b_c", "0", "forward", "steps", "ä'\" ,[]", "x" * 500]
    nodes, value = [], "image"
    for index, name in enumerate(odd):
        nodes.append(helper.make_node("Sigmoid", [value], [f"v{index}"], name=name))
        value = f"v{index}"
    nodes.append(helper.make_node("Relu", [value], ["out"]))
    path = write(tmp_path / "net.onnx", image_model(nodes, {}))
    network = load(path)
    names = [name for name, _ in network.named_children()]
    assert len(names) == len(odd) + 1
    assert all(name.isidentifier() and name.isascii() for name in names)
    image = torch.rand(1, 3, 4, 4)
    assert difference(network(image), compute(path, image)) < TOLERANCE


def test_a_batch_norm_goes_into_the_convolution_before_it(tmp_path: Path) -> None:
    generator = np.random.default_rng(8)
    tensors = {
        name: generator.uniform(0.5, 1.5, shape).astype(np.float32)
        for name, shape in {
            "c.weight": (3, 3, 3, 3),
            **dict.fromkeys(("s", "b", "m", "v"), (3,)),
        }.items()
    }
    nodes = [
        helper.make_node("Conv", ["image", "c.weight"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "s", "b", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("BatchNormalization", ["r", "s", "b", "m", "v"], ["out"]),
    ]
    path = write(tmp_path / "net.onnx", image_model(nodes, tensors))
    network = load(path)
    kinds = [type(module).__name__ for module in network.children()]
    assert kinds == ["Conv2d", "Relu", "BatchNorm"]
    assert dict(network.named_children())["c"].bias is not None
    image = torch.rand(2, 3, 8, 8)
    assert difference(network(image), compute(path, image)) < TOLERANCE


@pytest.mark.parametrize("fixed", [False, True], ids=["any size", "fixed"])
def test_a_group_norm_is_one_module_again(fixed: bool, tmp_path: Path) -> None:
    network = load(export(Tokens(), tmp_path / "net.onnx", fixed=fixed))
    modules = dict(network.named_children())
    norm = modules["group"]
    assert isinstance(norm, GroupNorm)
    assert (norm.groups, norm.weight.shape, norm.compute) == (2, (8,), torch.float32)
    assert not [name for name in modules if "InstanceNorm" in name]


def test_what_only_looks_like_a_group_norm_is_none(tmp_path: Path) -> None:
    tensors = {
        "split": np.array([0, 3, -1]),
        "ones": np.ones(3, np.float32),
        "zeros": np.full(3, 0.5, np.float32),
        "w": np.full((3, 1, 1), 2, np.float32),
    }
    nodes = [
        helper.make_node("Reshape", ["image", "split"], ["a"]),
        helper.make_node("InstanceNormalization", ["a", "ones", "zeros"], ["b"]),
        helper.make_node("Shape", ["image"], ["s"]),
        helper.make_node("Reshape", ["b", "s"], ["c"]),
        helper.make_node("Mul", ["c", "w"], ["d"]),
        helper.make_node("Add", ["w", "d"], ["out"]),
    ]
    path = write(tmp_path / "net.onnx", image_model(nodes, tensors))
    network = load(path)
    assert not [one for one in network.children() if isinstance(one, GroupNorm)]
    image = torch.rand(2, 3, 8, 6)
    assert difference(network(image), compute(path, image)) < TOLERANCE
    tensors["zeros"][:] = 0
    path = write(tmp_path / "net.onnx", image_model(nodes, tensors))
    network = load(path)
    assert [type(one) for one in network.children()] == [GroupNorm]
    assert difference(network(image), compute(path, image)) < TOLERANCE
    del nodes[2]
    path = write(
        tmp_path / "net.onnx", image_model(nodes, {**tensors, "s": np.array([2, 3, 8, 6])})
    )
    network = load(path)
    assert difference(network(image), compute(path, image)) < TOLERANCE
    with pytest.raises(UnsupportedError, match="found \\[2, 3, 6, 8\\]"):
        network(image.mT)


def test_weights_that_the_graph_computes_are_constants(tmp_path: Path) -> None:
    """A 1×1 kernel in the middle of a 3×3 one, and PyTorch's way to say how a pad is laid out."""
    generator = np.random.default_rng(9)
    tensors = {
        "wide": generator.uniform(-1, 1, (12, 3, 3, 3)).astype(np.float32),
        "narrow": generator.uniform(-1, 1, (12, 3, 1, 1)).astype(np.float32),
        "pads": np.array([1, 1, 1, 1], np.int64),
        "zeros": np.array([2], np.int64),
    }
    nodes = [
        helper.make_node(
            "ConstantOfShape", ["zeros"], ["z"], value=helper.make_tensor("", 7, [1], [0])
        ),
        helper.make_node("Concat", ["z", "pads"], ["six"], axis=0),
        helper.make_node("Split", ["six"], ["x", "y", "q"], axis=0, num_outputs=3),
        helper.make_node("Concat", ["x", "y", "x", "q"], ["eight"], axis=0),
        helper.make_node("Pad", ["narrow", "eight"], ["padded"]),
        helper.make_node("Add", ["wide", "padded"], ["w"]),
        helper.make_node("Conv", ["image", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["c"], ["out"], blocksize=2, mode="CRD"),
    ]
    path = write(tmp_path / "net.onnx", image_model(nodes, tensors))
    network = load(path)
    assert [type(one).__name__ for one in network.children()] == ["Conv2d", "DepthToSpace"]
    image = torch.rand(1, 3, 8, 8)
    assert difference(network(image), compute(path, image)) < TOLERANCE


def test_what_pytorchs_new_exporter_writes_is_read_and_written_again(tmp_path: Path) -> None:
    network = seed(Tokens())
    path, again = tmp_path / "net.onnx", tmp_path / "again.onnx"
    auto = torch.export.Dim.AUTO
    image = torch.rand(3, 3, 32, 16)
    for source, target in ((network, path), (None, again)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                source or load(path),
                (torch.rand(2, 3, 16, 24),),
                target,
                dynamo=True,
                opset_version=20,
                dynamic_shapes=((auto,) * 4,) if source is None else ({0: auto, 2: auto, 3: auto},),
                input_names=["image"],
                verbose=False,
            )
        assert difference(compute(target, image), network(image)) < TOLERANCE
    assert difference(load(path)(image), network(image)) < TOLERANCE
