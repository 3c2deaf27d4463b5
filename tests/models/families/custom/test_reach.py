"""Reach: what a gradient finds, or more; global where a node looks at everything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor, nn

from tests.support.custom_networks import (
    Rrdb,
    Span,
    Squeeze,
    Srvgg,
    Tokens,
    Unshuffled,
    export,
)
from tests.support.onnx_files import image_model, write
from tinysr.errors import UnsupportedError
from tinysr.models.families.custom import Network, Reach, find_reach, read_onnx
from tinysr.models.families.custom.build import build_network

pytestmark = pytest.mark.usefixtures("one_core")

SIDE = 96


class Steps(nn.Module):
    """Convolutions with strides, dilation and uneven padding, crops, and pools."""

    def __init__(self) -> None:
        super().__init__()
        self.far = nn.Conv2d(3, 4, 3, padding=2, dilation=2)
        self.down, self.up = nn.Conv2d(4, 4, 5, 2, 2), nn.ConvTranspose2d(4, 4, 6, 2, 2)
        self.last = nn.Conv2d(4, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.elu(self.up(F.elu(self.down(self.far(x)))))
        y = y[:, :, 1:-1, 1:] + F.pad(F.max_pool2d(y, 3, 1), (0, 1, 0, 0))
        padded: Tensor = F.pad(self.last(y), (1, 2, 2, 2))
        return padded


class Up(nn.Module):
    """A bilinear and a bicubic enlargement, three times together."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.interpolate(x, scale_factor=1.5, mode="bicubic")
        y = F.interpolate(self.conv(y), scale_factor=2, mode="bilinear")
        result: Tensor = self.conv(y)
        return result


class Shuffled(nn.Module):
    """Pixels to channels and back by reshapes, as exporters write them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(27, 27, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        y = x.reshape(b, c, h // 3, 3, w // 3, 3).permute(0, 1, 3, 5, 2, 4)
        y = self.conv(y.reshape(b, 9 * c, h // 3, w // 3))
        y = y.reshape(b, c, 3, 3, h // 3, w // 3).permute(0, 1, 4, 2, 5, 3)
        result: Tensor = x + y.reshape(b, c, h, w)
        return result


def probe(network: Network, scale: int, multiple: int) -> int:
    """Return how far from its own pixel any result in the middle looks, by its gradient."""
    side = multiple * -(-SIDE // multiple)
    image = torch.rand(1, 3, side, side, requires_grad=True)
    result, middle, worst = network(image), side // 2 // multiple * multiple, 0
    for place in range(middle * scale, (middle + multiple) * scale):
        (seen,) = torch.autograd.grad(result[0, :, place, place].sum(), image, retain_graph=True)
        for sides in ((0, 1, 2), (0, 1, 3)):
            places = seen.abs().sum(sides).nonzero()
            worst = max(
                worst, place // scale - int(places.min()), int(places.max()) - place // scale
            )
    return worst


def load(path: Path) -> Network:
    return build_network(read_onnx(path), {}).eval()


LOCAL: dict[str, tuple[Callable[[], nn.Module], int, int, int]] = {
    "rrdb": (Rrdb, 4, 1, 12),
    "srvgg ×1": (lambda: Srvgg(1), 1, 1, 3),
    "srvgg ×2": (lambda: Srvgg(2), 2, 1, 3),
    "srvgg ×3": (lambda: Srvgg(3), 3, 1, 3),
    "srvgg ×8": (lambda: Srvgg(8), 8, 1, 3),
    "span": (Span, 2, 1, 6),
    "unshuffled": (Unshuffled, 1, 8, 23),
    "steps": (Steps, 1, 2, 9),
    "up": (Up, 3, 2, 3),
    "shuffled": (Shuffled, 1, 3, 5),
}
"""Networks with their scales, what sides divide by, and their reach."""


@pytest.mark.parametrize("name", LOCAL)
def test_the_reach_is_what_the_gradient_finds(name: str, tmp_path: Path) -> None:
    make, scale, multiple, halo = LOCAL[name]
    network = load(export(make(), tmp_path / "net.onnx", side=(24, 48)))
    assert find_reach(network, scale) == Reach(halo=halo, why="", multiple=multiple)
    found = probe(network, scale, multiple)
    assert found <= halo
    if name != "steps":  # a mirror or a pool may hide a pixel
        assert found == halo


@pytest.mark.parametrize(("make", "node"), [(Squeeze, "GlobalAveragePool"), (Tokens, "group")])
def test_a_node_that_looks_at_everything_is_named(
    make: Callable[[], nn.Module], node: str, tmp_path: Path
) -> None:
    found = find_reach(load(export(make(), tmp_path / "net.onnx")), 2)
    assert found.halo is None
    assert node in found.why


def node(operator: str, *names: str, **attributes: Any) -> Any:
    return helper.make_node(operator, list(names[:-1]), [names[-1]], **attributes)


GLOBAL: dict[str, tuple[list[Any], dict[str, NDArray[Any]]]] = {
    "ReduceMean": (
        [node("ReduceMean", "image", "a", "m"), node("Sub", "image", "m", "out")],
        {"a": np.array([3])},
    ),
    "Softmax": ([node("Softmax", "image", "out", axis=2)], {}),
    "InstanceNormalization": (
        [node("InstanceNormalization", "image", "s", "s", "out")],
        {"s": np.ones(3, np.float32)},
    ),
    "MatMul": (
        [
            node("Transpose", "image", "t", perm=[0, 1, 3, 2]),
            node("MatMul", "image", "t", "m"),
            node("MatMul", "m", "image", "out"),
        ],
        {},
    ),
    "align_corners": (
        [
            node("Shape", "image", "s", start=2),
            node("Concat", "p", "s", "q", axis=0),
            node(
                *("Resize", "image", "", "", "q", "out"),
                mode="linear",
                coordinate_transformation_mode="align_corners",
            ),
        ],
        {"p": np.array([1, 3])},
    ),
    "Slice": (
        [
            node("Slice", "image", "z", "o", "x", "a"),
            node("Slice", "image", "o", "e", "x", "b"),
            node("Concat", "b", "a", "out", axis=3),
        ],
        {"z": np.array([0]), "o": np.array([4]), "e": np.array([2**62]), "x": np.array([3])},
    ),
    "Mul": (
        [
            node("Shape", "image", "n", start=2, end=3),
            node("Cast", "n", "f", to=1),
            node("Mul", "image", "f", "out"),
        ],
        {},
    ),
    "Gather": (
        [node("Gather", "image", "i", "g", axis=2), node("Add", "image", "g", "out")],
        {"i": np.array([0])},
    ),
}
"""Graphs that look at the whole image, by what names the reason."""


@pytest.mark.parametrize("why", GLOBAL)
def test_global_nodes_are_global(why: str, tmp_path: Path) -> None:
    found = find_reach(load(write(tmp_path / "net.onnx", image_model(*GLOBAL[why]))), 1)
    assert found.halo is None
    assert why in found.why


def test_mixing_channels_alone_is_local(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", "image", "t", perm=[0, 2, 3, 1]),
        node("LayerNormalization", "t", "w", "n", axis=-1),
        node("MatMul", "n", "m", "l"),
        node("Transpose", "l", "u", perm=[0, 3, 1, 2]),
        node("ReduceMean", "u", "a", "mean"),
        node("Sub", "u", "mean", "out"),
    ]
    tensors = {"w": np.ones(3, np.float32), "m": np.ones((3, 3), np.float32), "a": np.array([1])}
    path = write(tmp_path / "net.onnx", image_model(nodes, tensors))
    assert find_reach(load(path), 1) == Reach(halo=0, why="", multiple=1)


class Padded(nn.Module):
    """Pads an image to a multiple of six, works at half the size, and crops."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 4, 2, 2), nn.ConvTranspose2d(4, 3, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        more = [(6 - side % 6) % 6 for side in (height, width)]
        y: Tensor = self.up(self.down(F.pad(x, (0, more[1], 0, more[0]), "reflect")))
        return y[:, :, :height, :width]


def test_padding_to_a_multiple_is_nothing_at_the_multiple(tmp_path: Path) -> None:
    network = load(export(Padded(), tmp_path / "net.onnx"))
    found = find_reach(network, 1)
    assert found.why == ""
    assert found.multiple == 6
    assert found.halo == 1
    assert find_reach(network, 1, multiple=9).multiple == 18


class Skipping(nn.Module):
    """Half the size after a norm of everything, and the skip around it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.down = nn.GroupNorm(1, 3), nn.Conv2d(3, 3, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.interpolate(self.down(self.norm(x)), scale_factor=4.0, mode="nearest")
        return x + y


def test_what_sides_divide_by_is_found_behind_global_nodes(tmp_path: Path) -> None:
    found = find_reach(load(export(Skipping(), tmp_path / "net.onnx")), 1)
    assert (found.halo, found.multiple) == (None, 4)


def test_a_multiple_that_is_not_found_must_be_stated(tmp_path: Path) -> None:
    nodes = [
        node("Reshape", "image", "s", "a"),
        node("Transpose", "a", "b", perm=[0, 1, 3, 2]),
        node("Shape", "image", "t"),
        node("Reshape", "b", "t", "out"),
    ]
    path = write(tmp_path / "net.onnx", image_model(nodes, {"s": np.array([0, 3, 49, -1])}))
    with pytest.raises(UnsupportedError, match="state multiple_of"):
        find_reach(load(path), 1)
    assert find_reach(load(path), 1, multiple=7).multiple == 7


def test_mirrored_edges_need_what_they_mirror(tmp_path: Path) -> None:
    nodes = [
        node("Pad", "image", "p", "a", mode="reflect"),
        node("Slice", "a", "s", "e", "x", "out"),
    ]
    tensors = {
        "p": np.array([0, 0, 5, 5, 0, 0, 5, 5]),
        "s": np.array([5, 5]),
        "e": np.array([-5, -5]),
        "x": np.array([2, 3]),
    }
    path = write(tmp_path / "net.onnx", image_model(nodes, tensors))
    found = find_reach(load(path), 1)
    assert found.halo is not None
    assert 5 <= found.halo <= 6


def test_a_bicubic_enlargement_before_the_network_counts(tmp_path: Path) -> None:
    network = load(write(tmp_path / "net.onnx", image_model()))
    assert find_reach(network, 4, enlarged=True).halo == 2
    assert find_reach(network, 1).halo == 1


def test_another_scale_than_stated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="state the network's own scale"):
        find_reach(load(export(Srvgg(2), tmp_path / "net.onnx")), 3)
