"""Layers of any network compute in their own type, and stay the layers that they are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.support.norm_graphs import Staged, export_network
from tests.support.normed import CHANNELS, PARTS, SIDE, build
from tests.support.tiny_models import noise
from tinysr.calibration import HalfWalker, trace
from tinysr.export import BakedTinySR
from tinysr.export.model.apply_plan import apply_plan
from tinysr.export.model.typed import Typed, find_units, with_types
from tinysr.export.plans.precision import KeptModule, PrecisionPlan

pytestmark = pytest.mark.usefixtures("one_thread")


def plan(*kept: str) -> PrecisionPlan:
    keep = tuple(KeptModule(module=path) for path in kept)
    return PrecisionPlan(model_sha256="0" * 64, tile=SIDE, keep=keep)


LAYERS: dict[str, nn.Module] = {
    "dilated": nn.Conv2d(CHANNELS, 4, 3, padding=2, dilation=2, groups=4),
    "reflected": nn.Conv2d(CHANNELS, 4, 3, padding=1, padding_mode="reflect"),
    "padded alike": nn.Conv2d(CHANNELS, 4, (3, 5), padding="same", bias=False),
    "transposed": nn.ConvTranspose2d(CHANNELS, 4, 3, 2, 1, output_padding=1),
    "linear": nn.Linear(SIDE, 4, bias=False),
    "slopes": nn.PReLU(CHANNELS),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_of_a_type_is_the_same_layer(name: str) -> None:
    layer, x = nn.Sequential(LAYERS[name]), noise(1, CHANNELS, SIDE, SIDE) - 0.5
    expected = layer(x)
    typed = apply_plan(layer, plan("0"))
    assert torch.equal(typed(x), expected)
    half = apply_plan(layer, plan())(x)
    assert half.dtype is torch.float16
    torch.testing.assert_close(half.float(), expected, rtol=1e-2, atol=1e-3)
    assert not isinstance(layer[0], Typed)  # the model itself is left as it was
    assert typed[0].weight is layer[0].weight


@pytest.mark.parametrize("name", PARTS)
def test_pytorch_computes_in_half_what_the_calibration_does(name: str) -> None:
    network, image = build(name), noise(1, 3, SIDE, SIDE)
    traced = trace(network, SIDE)
    exact = network(image)
    half, walked = apply_plan(network, plan())(image), HalfWalker(traced, ())(image)
    error = float((half.float() - exact).square().mean().sqrt())
    apart = float((half.float() - walked).square().mean().sqrt())
    assert half.dtype is torch.float16
    assert apart <= 2 * error


def test_a_kept_norm_computes_in_fp32_between_halves() -> None:
    network = build("group_norm")
    seen: dict[str, torch.dtype] = {}
    typed = apply_plan(network, plan("part"))
    for path, module in typed.named_children():
        module.register_forward_hook(
            lambda _m, _given, out, path=path: seen.update({path: out.dtype})
        )
    typed(noise(1, 3, SIDE, SIDE))
    assert seen == {"before": torch.float16, "part": torch.float32, "after": torch.float16}
    assert typed.part.weight is network.part.weight


def test_what_a_batch_norm_counted_stays_an_integer() -> None:
    half = apply_plan(build("batch_norm"), plan())
    kinds = {name: tensor.dtype for name, tensor in half.part.named_buffers()}
    assert kinds["num_batches_tracked"] is torch.int64
    assert kinds["running_var"] is torch.float16


@pytest.mark.parametrize("name", ["group_norm", "layer_norm", "rms_norm", "silu", "gelu"])
def test_a_graph_of_a_narrow_unit_has_no_casts_inside(name: str) -> None:
    model = apply_plan(Staged(build(name)), plan())
    kinds = [node.op_type for node in export_network(model).model.graph.node]
    assert kinds.count("Cast") == 1  # of the image
    assert not {"Pow", "ReduceMean"} & {*kinds}


class Doubling(nn.Conv2d):
    """A convolution that does more than its base."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def test_a_layer_that_was_derived_is_no_unit() -> None:
    network = nn.Sequential(Doubling(3, 3, 1), nn.ReLU(), nn.PixelShuffle(1), nn.Upsample(2))
    assert not find_units(network)
    with_types(network)
    assert type(network[0]) is Doubling


def test_units_of_tinysr_are_those_that_its_plans_name(baked: BakedTinySR) -> None:
    kinds = {type(module).__name__ for module in find_units(baked).values()}
    assert kinds == {
        *("BakedBlock", "BakedDecoder", "BakedFeedForward", "BakedPatchEmbed", "Conv2d"),
        *("FixedResize", "JoinedAttention", "MatMulLinear", "Modulated", "ResidualBlock"),
    }
