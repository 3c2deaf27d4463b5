"""Norms and activations are seen from inside, and what overflows in them is kept wide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.support.normed import PARTS, SIDE, Attention, Flat, build
from tests.support.tiny_models import noise
from tinysr.calibration import (
    HalfWalker,
    Op,
    Ranges,
    Trace,
    Walker,
    compute_truths,
    find_plan,
    trace,
)
from tinysr.calibration.bits.finder import find_too_large
from tinysr.calibration.ranges.images import calibration_images
from tinysr.calibration.ranges.measure import measure_ranges
from tinysr.calibration.traced.half import FP16_MAX
from tinysr.export.model.typed import Wide, find_units
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.manifest import Source

pytestmark = pytest.mark.usefixtures("one_thread")

SOURCE = Source(kind="single-file", name="normed", sha256="0" * 64, trained=False)

FAR = 600.0
"""Gain that brings values further than 255.9 from the mean, and none past fp16's largest."""


class Recorder(Walker):
    """Counts the steps, and keeps the largest size of each."""

    def __init__(self, of: Trace) -> None:
        super().__init__(of)
        self.seen: Counter[str] = Counter()
        self.largest: dict[str, float] = {}

    def convert_output(self, op: Op, value: Tensor) -> Tensor:
        self.seen[op.name] += 1
        self.largest[op.name] = float(value.abs().max())
        return value


def measure(traced: Trace, side: int, limit: int) -> Ranges:
    images = calibration_images(side, folder=None, limit=limit)
    return measure_ranges(traced, images, source=SOURCE, tile=side, seed=0).ranges


def find(network: nn.Module, traced: Trace) -> PrecisionPlan:
    found = measure(traced, SIDE, limit=15)
    plan, evaluation = find_plan(network, traced, found, compute_truths(traced, SIDE), margin=1.0)
    assert evaluation.passed
    return plan


@pytest.mark.parametrize("name", PARTS)
def test_what_is_written_out_is_what_pytorch_computes(name: str) -> None:
    network, image = build(name, 4.0), noise(1, 3, SIDE, SIDE)
    walker = Recorder(trace(network, SIDE))
    torch.testing.assert_close(walker(image), network(image), rtol=1e-5, atol=1e-5)
    assert walker.seen == Counter(op.name for op in walker.trace.ops)  # each of them, once


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_a_unit_with_all_its_steps(name: str) -> None:
    network = build(name)
    traced = trace(network, SIDE)
    assert {op.unit for op in traced.ops} == find_units(network).keys() == {*traced.units}
    assert len(traced.units) == 3


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("group_norm", "group_norm.square"),
        ("group_norm plain", "group_norm.square"),
        ("instance_norm", "instance_norm.square"),
        ("layer_norm", "layer_norm.squared sum"),
        ("rms_norm", "rms_norm.squared sum"),
        ("attention", "attention.products"),
    ],
)
def test_what_overflows_inside_is_kept_wide(name: str, step: str) -> None:
    network = build(name, FAR)
    traced = trace(network, SIDE)
    walker = Recorder(traced)
    image = noise(1, 3, SIDE, SIDE)
    expected = walker(image)
    (over,) = (one for one in walker.largest if one.endswith(f":{step}"))
    assert walker.largest[over] > FP16_MAX
    assert max(walker.largest[f"{path}:convolution"] for path in ("before", "after")) < FP16_MAX
    plan = find(network, traced)
    part = over.partition(":")[0]
    assert part in {entry.module for entry in plan.keep}
    assert any(step in entry.reason for entry in plan.keep)
    narrow = HalfWalker(traced, ())(image)
    wide = HalfWalker(traced, plan.list_wide(traced.units))(image)
    torch.testing.assert_close(wide, expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max()))
    assert not torch.allclose(narrow, expected, rtol=0.1)


@pytest.mark.parametrize("name", ["group_norm", "instance_norm"])
def test_a_norm_that_overflows_gives_zeros_which_are_finite(name: str) -> None:
    network = build(f"{name} plain", 1e4)
    traced = trace(network, SIDE)
    found = HalfWalker(traced, ())(noise(1, 3, SIDE, SIDE))
    bias = network.after.bias
    assert bias is not None
    assert found.isfinite().all()
    assert float((found - bias.half().float()[:, None, None]).abs().max()) < 1e-3


@pytest.mark.parametrize("name", ["group_norm", "group_norm plain", "instance_norm"])
def test_sums_over_an_image_leave_a_norm_narrow(name: str) -> None:
    """They pass fp16's largest whatever the values are: no norm over an image could be in fp16."""
    network, side = build(name, 16.0), 256
    found = measure(trace(network, side), side, limit=1)
    (variance,) = (op.absmax for op in found.ops if op.name.endswith(".variance"))
    assert variance * side**2 > FP16_MAX
    assert find_too_large(found, margin=4.0) == []


class Difference(Wide):
    def forward(self, x: Tensor) -> Tensor:
        return x - 2 * x


def test_what_is_wide_has_no_unit_and_is_not_rounded() -> None:
    network = Flat(Difference(), 1.0)
    traced = trace(network, SIDE)
    assert traced.units == ("before", "after")
    assert {op.unit for op in traced.ops if op.module == "part"} == {None}


class Hidden(nn.Module):
    """An operation with squares inside that no unit computes."""

    def __init__(self, operation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.stage = nn.Sequential(nn.Conv2d(3, 3, 1), Lambda(operation))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.stage(x)
        return y


class Lambda(nn.Module):
    def __init__(self, operation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, x: Tensor) -> Tensor:
        return self.operation(x)


def test_what_can_not_be_seen_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"'var' in 'stage\.1' has inner values that can't be"):
        trace(Hidden(lambda x: x.var(1, keepdim=True)), SIDE)
    with pytest.raises(RuntimeError, match=r"'mul' in 'stage\.1' has no type of its own"):
        trace(Hidden(lambda x: x * x), SIDE)
    assert trace(Hidden(lambda x: torch.relu(x)[:, :, ::2]), SIDE).ops[-1].unit is None


def test_attention_with_a_mask_is_refused() -> None:
    class Masked(Attention):
        def forward(self, x: Tensor) -> Tensor:
            mask = torch.ones(SIDE, SIDE, dtype=torch.bool)
            return nn.functional.scaled_dot_product_attention(x, x, x, mask)

    traced = trace(Flat(Masked(), 1.0), SIDE)
    with pytest.raises(ValueError, match="without a mask"):
        Walker(traced)(noise(1, 3, SIDE, SIDE))
