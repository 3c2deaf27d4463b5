"""Damaged networks without end: whatever an ONNX file says, it is read or refused in a line."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.support.custom_networks import Rrdb, Squeeze, Srvgg, Tokens, Unshuffled, export
from tinysr.errors import TinySRError
from tinysr.models.families.custom import find_reach, read_onnx
from tinysr.models.families.custom.build import build_network

CASES = 150
MOST_SECONDS = 20.0
"""Time for one file; the first one loads parts of PyTorch."""

NUMBERS = (0, 1, -1, 2, 7, 64, 255, 65535, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1)
OPERATORS = (
    *("Relu", "Add", "Reshape", "Slice", "Gather", "Transpose", "Concat", "Split", "ReduceMean"),
    *("Pad", "Resize", "Expand", "Tile", "Squeeze", "Unsqueeze", "Conv", "ConvTranspose", "MatMul"),
    *("Shape", "ConstantOfShape", "Softmax", "DepthToSpace", "Flatten", "Where", "Cast", "Gemm"),
    *("LayerNormalization", "MaxPool", "PRelu", "Clip", "Loop"),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, int]]:
    """Return whole files and their scales."""
    folder = tmp_path_factory.mktemp("whole")
    made = [(Rrdb(1), 4), (Srvgg(3), 3), (Squeeze(), 2), (Unshuffled(), 1), (Tokens(), 2)]
    return [
        (export(network, folder / f"{index}{fixed}.onnx", fixed=fixed).read_bytes(), scale)
        for index, (network, scale) in enumerate(made)
        for fixed in (False, True)
    ]


def change_bytes(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    at = draw.randrange(len(changed))
    kind = draw.randrange(4)
    if kind == 0:
        changed[at] ^= 1 << draw.randrange(8)
    elif kind == 1:
        changed[at : at + 4] = draw.choice([b"\xff\xff\xff\x7f", b"\x80\x80\x80\x80", bytes(4)])
    elif kind == 2:
        del changed[at : at + draw.randint(1, 30)]
    else:
        changed[at:at] = changed[at : at + draw.randint(1, 40)]
    return bytes(changed)


def change_array(tensor: Any, draw: random.Random) -> None:
    values = numpy_helper.to_array(tensor).copy()
    if values.size and values.dtype == np.int64:
        values.reshape(-1)[draw.randrange(values.size)] = draw.choice(NUMBERS)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def change_graph(data: bytes, draw: random.Random) -> bytes:
    model = onnx.ModelProto.FromString(data)
    graph = model.graph
    node, kind = draw.choice(graph.node), draw.randrange(4)
    if kind == 0:
        node.op_type = draw.choice(OPERATORS)
    elif kind == 1 and node.input:
        names = [name for other in graph.node for name in other.output]
        names += [tensor.name for tensor in graph.initializer]
        node.input[draw.randrange(len(node.input))] = draw.choice([*names, "", "image"])
    elif kind == 2 and node.attribute:
        attribute = draw.choice(node.attribute)
        if attribute.HasField("i"):
            attribute.i = draw.choice(NUMBERS)
        elif attribute.ints:
            attribute.ints[draw.randrange(len(attribute.ints))] = draw.choice(NUMBERS)
        elif attribute.HasField("t"):
            change_array(attribute.t, draw)
    elif graph.initializer:
        change_array(draw.choice(graph.initializer), draw)
    changed: bytes = model.SerializeToString()
    return changed


@pytest.mark.parametrize("change", [change_bytes, change_graph])
def test_damaged_files_are_read_or_refused_in_a_line(
    change: Any, whole: list[tuple[bytes, int]], tmp_path: Path
) -> None:
    draw, path = random.Random(17), tmp_path / "net.onnx"  # noqa: S311  no secrets
    lines = []
    for _ in range(CASES):
        data, scale = draw.choice(whole)
        for _ in range(draw.randint(1, 3)):
            data = change(data, draw)
        path.write_bytes(data)
        start = time.process_time()
        try:
            find_reach(build_network(read_onnx(path), {}), scale)
        except TinySRError as error:
            lines.append(str(error))
        assert time.process_time() - start < MOST_SECONDS
    assert 0 < len(lines) < CASES
    assert [line for line in lines if not line.isprintable() or len(line) > 1500] == []
