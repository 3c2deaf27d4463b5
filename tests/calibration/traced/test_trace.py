"""A model taken apart computes the same, value by value."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from tests.support.tiny_models import TILE, noise
from tinysr.calibration import HalfWalker, Op, Trace, Walker
from tinysr.export import BakedTinySR
from tinysr.export.model.apply_plan import apply_plan
from tinysr.export.model.typed import find_units
from tinysr.export.plans.precision import KeptModule, PrecisionPlan
from tinysr.models import Loaded
from tinysr.suite import suite

ATTENTION = "transformer.transformer_blocks.1.attn"
FEED_FORWARD = "transformer.transformer_blocks.1.ff"
NORM = "transformer.transformer_blocks.1.norm_attn"


pytestmark = pytest.mark.usefixtures("one_thread")


class Recorder(Walker):
    """Keeps every value."""

    def __init__(self, of: Trace) -> None:
        super().__init__(of)
        self.values: dict[str, torch.Tensor] = {}

    def convert_output(self, op: Op, value: torch.Tensor) -> torch.Tensor:
        self.values[op.name] = value
        return value


def test_a_model_taken_apart_computes_the_same(traced: Trace, baked: BakedTinySR) -> None:
    image = noise(1, 3, TILE, TILE)
    torch.testing.assert_close(Walker(traced)(image), baked(image), rtol=1e-4, atol=1e-5)


def test_inner_values_are_those_of_the_modules(traced: Trace, baked: BakedTinySR) -> None:
    inputs: dict[str, torch.Tensor] = {}
    for path in (NORM, f"{ATTENTION}.to_qkv", f"{FEED_FORWARD}.proj_in"):
        module = baked.get_submodule(path)
        module.register_forward_hook(
            lambda _m, given, out, path=path: inputs.update({path: given[0], f"{path} out": out})
        )
    image = noise(1, 3, TILE, TILE)
    baked(image)
    recorder = Recorder(traced)
    recorder(image)
    values = recorder.values
    x = inputs[NORM]
    centred = x - x.mean(-1, keepdim=True)
    close = partial(torch.testing.assert_close, rtol=1e-3, atol=1e-3)
    squared_sum = values[f"{NORM}:layer_norm.squared sum"]
    close(squared_sum, centred.square().sum(-1, keepdim=True))
    q, k, _ = inputs[f"{ATTENTION}.to_qkv out"].chunk(3, dim=2)
    logits = values[f"{ATTENTION}:logits"].squeeze()
    close(logits, q[0] @ k[0].T)
    cube = values[f"{FEED_FORWARD}:gelu.cube"]
    close(cube, inputs[f"{FEED_FORWARD}.proj_in out"] ** 3)


def test_every_module_that_can_be_kept_is_measured(traced: Trace, baked: BakedTinySR) -> None:
    assert (
        {op.unit for op in traced.ops if op.unit} == find_units(baked).keys() == set(traced.units)
    )
    assert len({op.name for op in traced.ops}) == len(traced.ops)
    step = next(op for op in traced.ops if op.module == "transformer.step")
    assert step.unit is None  # z - v is in fp32, whatever a plan says
    last = "encoder.layers.8.pointwise:convolution"
    assert step.reads == (last, "transformer.proj_out:add")


def test_true_fp16_is_what_pytorch_computes_in_half(
    traced: Trace, baked: BakedTinySR, loaded: Loaded
) -> None:
    image = torch.from_numpy(suite(TILE)[0].pixels)[None]
    kept = KeptModule(module=NORM)
    plan = PrecisionPlan(model_sha256=loaded.source.sha256, tile=TILE, keep=(kept,))
    exact = baked(image)
    half = apply_plan(baked, plan)(image)
    rounded = HalfWalker(traced, {NORM})(image)
    error, apart = (half - exact).square().mean().sqrt(), (rounded - half).square().mean().sqrt()
    assert 0 < apart <= 1.5 * error
    assert torch.equal(HalfWalker(traced, traced.units)(image), Walker(traced)(image))
