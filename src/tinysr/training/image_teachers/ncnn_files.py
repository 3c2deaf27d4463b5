"""ncnn's two files of an RRDBNet: the graph as text (``.param``), the weights as bytes (``.bin``).

The text is held line by line against the graph that an RRDBNet of its size has, so that the bytes
can't land in the wrong places. Nothing of ncnn is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tinysr import paths
from tinysr.errors import CheckpointError
from tinysr.training.image_teachers.rrdbnet import DENSE, LEAK, RESIDUAL, RRDBNet, RRDBNetConfig

__all__ = ["read_ncnn"]

_MAGIC = "7767517"
_HALF = 0x01306B47
"""Flag before weights in half precision; biases are fp32 always."""

_MOST_TEXT = 4 * 2**20
_MOST_BYTES = 512 * 2**20
_AROUND = 6
"""Convolutions outside the blocks: the first, the body's last, two upsamplings, two at the end."""

_PER_BLOCK = 3 * DENSE

LayerLine = tuple[str, dict[str, str]]
"""A layer's kind and its parameters by number."""


def read_ncnn(path: Path) -> RRDBNet:
    """Return the network of ``NAME.param`` and ``NAME.bin``; ``path`` is either.

    Raises:
        CheckpointError: a file is missing, too large, or not what an RRDBNet's is.
    """
    text, weights = path.with_suffix(".param"), path.with_suffix(".bin")
    layers = _layers(text)
    convolutions = [parameters for kind, parameters in layers if kind == "Convolution"]
    shape = _shape(convolutions, text)
    expected = list(_graph(shape))
    if [kind for kind, _ in layers] != [kind for kind, _ in expected]:
        raise CheckpointError(f"{text}: expected the layers of an RRDBNet, found others")
    for index, ((kind, found), (_, wanted)) in enumerate(zip(layers, expected, strict=True)):
        if found != wanted:
            raise CheckpointError(
                f"{text}: layer {index} ({kind}): expected {_words(wanted)}, found {_words(found)}"
            )
    with torch.device("meta"):
        network = RRDBNet(shape)
    network.load_state_dict(_tensors(network, weights), assign=True)
    return network


def _read(path: Path, most: int) -> bytes:
    data = paths.read_limited(path, most, CheckpointError)
    if data is None:
        raise CheckpointError(f"{path}: this file is missing: ncnn's .param and .bin lie together")
    return data


def _layers(path: Path) -> list[LayerLine]:
    """Return the graph's layers in order, without those that only hand a tensor on."""
    try:
        lines = _read(path, _MOST_TEXT).decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: expected ncnn's text, found bytes") from error
    if not lines or lines[0].strip() != _MAGIC:
        raise CheckpointError(f"{path}: expected ncnn's first line {_MAGIC}, found another")
    rows = [line.split() for line in lines[2:] if line.strip()]
    return [(row[0], _parameters(row, path)) for row in rows if row[0] != "Split"]


def _parameters(row: Sequence[str], path: Path) -> dict[str, str]:
    try:
        start = 4 + int(row[2]) + int(row[3])
        pairs = [word.split("=", 1) for word in row[start:]]
        return {key: _number(value) for key, value in pairs}
    except (IndexError, ValueError) as error:
        raise CheckpointError(f"{path}: not a layer of ncnn: {' '.join(row)[:80]}") from error


def _number(value: str) -> str:
    """Return numbers in one spelling: ``2.000000e-01`` is ``0.2``."""
    return ",".join(f"{float(part):g}" for part in value.split(","))


def _shape(convolutions: Sequence[dict[str, str]], path: Path) -> RRDBNetConfig:
    blocks, rest = divmod(len(convolutions) - _AROUND, _PER_BLOCK)
    if blocks < 1 or rest:
        raise CheckpointError(
            f"{path}: expected {_AROUND} + {_PER_BLOCK}·blocks convolutions, as in an RRDBNet, "
            f"found {len(convolutions)}"
        )
    try:
        features, growth = (int(convolutions[index]["0"]) for index in (0, 1))
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: a convolution without a number of outputs") from error
    if not (1 <= features <= 512 and 1 <= growth <= 512):
        raise CheckpointError(f"{path}: expected 1 to 512 channels, found {features} and {growth}")
    return RRDBNetConfig(features=features, growth=growth, blocks=blocks)


def _graph(shape: RRDBNetConfig) -> Iterator[LayerLine]:
    """Yield the layers of an RRDBNet as ncnn's converter writes them."""
    features, growth = shape.features, shape.growth
    add = {"0": "1", "-23301": f"2,{RESIDUAL:g},1"}
    double = {"0": "1", "1": "2", "2": "2"}
    yield "Input", {}
    yield _convolution(3, features)
    for _ in range(shape.blocks):
        for _ in range(3):
            for index in range(DENSE - 1):
                yield _convolution(features + index * growth, growth, leaky=True)
                yield "Concat", {}
            yield _convolution(features + (DENSE - 1) * growth, features)
            yield "Eltwise", add
        yield "Eltwise", add
    yield _convolution(features, features)
    yield "BinaryOp", {}
    for _ in range(2):
        yield "Interp", double
        yield _convolution(features, features, leaky=True)
    yield _convolution(features, features, leaky=True)
    yield _convolution(features, 3)


def _convolution(inputs: int, outputs: int, *, leaky: bool = False) -> LayerLine:
    size = inputs * outputs * 9
    plain = {"0": outputs, "1": 3, "4": 1, "5": 1, "6": size}
    words = {key: f"{value:g}" for key, value in plain.items()}
    return "Convolution", words | ({"9": "2", "-23310": f"1,{LEAK:g}"} if leaky else {})


def _words(parameters: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in parameters.items()) or "no parameters"


def _tensors(network: RRDBNet, path: Path) -> dict[str, Tensor]:
    """Return weights and biases by name, in the order of the network's convolutions."""
    data, at, tensors = _read(path, _MOST_BYTES), 0, {}
    for name, parameter in network.state_dict().items():
        count = parameter.numel()
        half = False
        if name.endswith(".weight"):
            flag, at = _take(data, at, np.dtype("<u4"), 1, path), at + 4
            half = int(flag[0]) == _HALF
            if not half and int(flag[0]):
                raise CheckpointError(f"{path}: expected weights in fp32 or fp16 at byte {at - 4}")
        kind = np.dtype("<f2" if half else "<f4")
        values = _take(data, at, kind, count, path).astype(np.float32)
        at += -(-count * kind.itemsize // 4) * 4
        if not np.isfinite(values).all():
            raise CheckpointError(f"{path}: '{name}' has NaN or infinite values")
        tensors[name] = torch.from_numpy(values).reshape(parameter.shape)
    if at != len(data):
        raise CheckpointError(f"{path}: expected {at} bytes, found {len(data)}")
    return tensors


def _take(data: bytes, at: int, kind: np.dtype[np.generic], count: int, path: Path) -> np.ndarray:
    if at + kind.itemsize * count > len(data):
        raise CheckpointError(f"{path}: the file ends early, at byte {len(data)}")
    return np.frombuffer(data, kind, count, at)
