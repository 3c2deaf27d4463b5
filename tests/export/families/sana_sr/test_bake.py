"""SANA-SR's baking: equal at any size it may have, in halves too, and without what is constant."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.support.tiny_models import difference, noise
from tests.support.tiny_sana_sr import CONFIG, tiny_sana_sr
from tinysr.calibration import HalfWalker, Trace, Walker, trace
from tinysr.export import Baked, bake
from tinysr.export.families.sana_sr.parts import BakedRaise, LinearCore, TypedRaise
from tinysr.export.model.apply_plan import apply_plan
from tinysr.export.model.typed import find_units
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.models.families.sana_sr import PRESETS, SanaSR, seed_sana_sr
from tinysr.models.layers.glumb import attend_linearly

pytestmark = pytest.mark.usefixtures("one_thread")

TILE = 32


@pytest.fixture(scope="module")
def model() -> SanaSR:
    return tiny_sana_sr()


@pytest.fixture(scope="module")
def baked(model: SanaSR) -> Baked:
    return bake(model, TILE)


@pytest.fixture(scope="module")
def traced(baked: Baked) -> Trace:
    return trace(baked, TILE)


def test_each_stage_is_the_eager_one(model: SanaSR, baked: Baked) -> None:
    x = noise(2, 3, TILE, TILE)
    for name in model.chain(TILE).names:
        expected = model.run_stage(name, x)
        assert difference(baked.get_submodule(name)(x), expected) < 3e-5, name
        x = expected


def test_a_step_of_another_size_sign_and_patch_is_baked() -> None:
    part = replace(CONFIG.transformer, patch=2)
    model = seed_sana_sr(replace(CONFIG, step=0.5, timestep=1.0, transformer=part))
    image = noise(1, 3, 64, 64)
    assert difference(bake(model, 64)(image), model(image)) < 3e-5


def test_shortcuts_are_in_convolutions_unless_a_pixel_s_rows_differ(baked: Baked) -> None:
    rises = [m for m in baked.modules() if isinstance(m, BakedRaise | TypedRaise)]
    kept = [m for m in rises if isinstance(m, TypedRaise)]
    assert (len(rises), len(kept)) == (5, 2)
    assert all(m.conv.out_channels < m.conv.in_channels for m in kept)


def test_conditions_are_gone() -> None:
    with torch.device("meta"):
        model = SanaSR(PRESETS["sana-sr"])
    baked = bake(model, 128)
    names = baked.state_dict()
    assert not [name for name in names if "time" in name or "caption" in name or "table" in name]

    def count(stage: str) -> tuple[float, float]:
        sizes = (
            sum(p.numel() for p in m.get_submodule(stage).parameters()) for m in (model, baked)
        )
        before, after = (round(size / 1e6, 1) for size in sizes)
        return before, after

    assert count("transformer") == (591.7, 523.0)
    assert count("decoder") == (159.2, 159.2)


def test_linear_attention_s_scales_cancel_and_fit_into_fp16() -> None:
    q, k, v = (torch.randn(1, 2, 32, 1024) * 4 for _ in range(3))
    q[..., 0] = -1  # no weight at all: a mean of nothing is zero
    core = LinearCore(1024, 32)
    expected = attend_linearly(q, k, v)
    assert difference(core(q, k, v), expected) < 1e-6
    core.compute = torch.float16
    half = core(q, k, v)
    assert half.isfinite().all()
    assert (half[..., 0] == 0).all()
    assert difference(half.float(), expected) < 1e-2
    assert not attend_linearly(q.half(), k.half(), v.half()).isfinite().all()


def test_everything_that_computes_is_a_unit(model: SanaSR, baked: Baked, traced: Trace) -> None:
    assert {op.unit for op in traced.ops} - {None} <= find_units(baked).keys()
    image = noise(1, 3, TILE, TILE)
    assert difference(Walker(traced)(image), model(image)) < 3e-5


def test_true_fp16_is_what_pytorch_computes_in_half(
    model: SanaSR, baked: Baked, traced: Trace
) -> None:
    image = noise(1, 3, TILE, TILE)
    exact = model(image)
    half = apply_plan(baked, PrecisionPlan(model_sha256="0" * 64, tile=TILE))
    found, walked = half(image), HalfWalker(traced, ())(image)
    assert found.dtype is torch.float32
    error = float((found - exact).square().mean().sqrt())
    assert 0 < error < 1e-2
    assert float((walked - found).square().mean().sqrt()) < 3 * error
    halves = [p.dtype for p in half.parameters()]
    assert set(halves) == {torch.float16}
    assert not [m for m in half.modules() if type(m) in (nn.Conv2d, nn.Linear)]
