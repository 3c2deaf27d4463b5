"""TSD-SR baked: what is folded away, and what a plan sees of what is left."""

from __future__ import annotations

import weakref
from dataclasses import replace

import pytest
import torch

from tests.support.tiny_models import difference, noise
from tests.support.tiny_tsd_sr import CONFIG, PLAN, TILE, tiny_tsd_sr
from tinysr.calibration import HalfWalker, Trace, Walker, trace
from tinysr.export import bake
from tinysr.export.families.tsd_sr import fold, transformer
from tinysr.export.families.tsd_sr.joint import JointBlock, JointBlocks
from tinysr.export.model.apply_plan import apply_plan
from tinysr.export.model.baked import Baked
from tinysr.export.model.typed import BORDER, find_units
from tinysr.models import find_preset
from tinysr.models.accounting import Cost, count_stage_costs
from tinysr.models.families.tsd_sr import TsdSr, seed_tsd_sr

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model() -> TsdSr:
    return tiny_tsd_sr()


@pytest.fixture(scope="module")
def baked(model: TsdSr) -> Baked:
    return bake(model, TILE)


@pytest.fixture(scope="module")
def traced(baked: Baked) -> Trace:
    return trace(baked, TILE)


def list_blocks(baked: Baked) -> list[JointBlock]:
    blocks = baked.get_submodule("transformer.transformer_blocks")
    assert isinstance(blocks, JointBlocks)
    return [block for block in blocks if isinstance(block, JointBlock)]


def test_every_stage_is_the_eager_model_s(model: TsdSr, baked: Baked) -> None:
    x = noise(2, 3, TILE, TILE)
    for name in baked.chain.names:
        expected = model.run_stage(name, x)
        assert difference(baked.get_submodule(name)(x), expected) < 1e-5
        x = expected


@pytest.mark.parametrize("depth", [1, 2])
def test_few_blocks_are_first_and_last_at_once(depth: int) -> None:
    few = seed_tsd_sr(replace(CONFIG, transformer=replace(CONFIG.transformer, depth=depth)))
    image = noise(1, 3, TILE, TILE)
    assert difference(bake(few, TILE)(image), few(image)) < 1e-5


def test_the_text_is_constant_first_and_only_read_last(baked: Baked) -> None:
    first, middle, last = list_blocks(baked)
    dim, tokens = CONFIG.transformer.dim, CONFIG.prompt_tokens
    assert first.attn.text_qkv is not None
    assert first.attn.text_qkv.shape == (1, tokens, 3 * dim)
    assert (first.attn.add_qkv, first.norm_text, middle.text, last.text) == (None,) * 4
    assert middle.attn.add_qkv is not None
    assert middle.attn.add_qkv.weight.shape == (dim, 3 * dim)
    assert last.attn.add_qkv is not None
    assert last.attn.add_qkv.weight.shape == (dim, 2 * dim)
    assert (last.ff_text, last.attn.to_add_out) == (None, None)


def test_only_the_mean_of_latents_is_computed(baked: Baked) -> None:
    outputs = baked.get_submodule("encoder.conv_out").get_parameter("weight").shape[0]
    assert outputs == CONFIG.vae.latent_channels


def test_the_whole_costs_what_the_paper_says_and_less_when_folded() -> None:
    model = find_preset("tsd-sr").make_meta("tsd-sr")  # type: ignore[union-attr]
    chain = model.chain(128)
    eager = total(count_stage_costs(chain, model.stage_modules, 128, model.run_stage))
    assert round(eager.parameters / 1e6, 1) == 2112.1
    assert round(eager.macs / 1e9, 1) == 2699.9
    assert round(eager.attention_macs / 1e9) == 170
    assert round(count_parameters(model.stage_modules("transformer")) / 1e6) == 2028
    folded = bake(model, 128)
    assert round(count_parameters(folded.get_submodule("transformer")) / 1e6) == 1329
    after = total(count_stage_costs(chain, folded.get_submodule, 128))
    assert round(after.parameters / 1e6, 1) == 1412.9
    assert round(after.macs / 1e9, 1) == 2693.6


def total(costs: dict[str, Cost]) -> Cost:
    return sum(costs.values(), Cost(parameters=0, macs=0))


def count_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_a_model_that_is_consumed_has_no_memory_left() -> None:
    model, image = tiny_tsd_sr(), noise(1, 3, TILE, TILE)
    expected, shapes = model(image), {n: t.shape for n, t in model.state_dict().items()}
    assert difference(bake(model, TILE, consume=True)(image), expected) < 1e-5
    assert {n: t.shape for n, t in model.state_dict().items()} == shapes
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}


def test_blocks_are_freed_as_they_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of one block at most are there twice."""
    model = tiny_tsd_sr()
    theirs = [weakref.ref(block.ff.net[2].weight) for block in model.transformer.blocks]
    alive: list[int] = []
    fold_image = fold.fold_image

    def watch(*given: object) -> object:
        alive.append(sum(weight() is not None for weight in theirs))
        return fold_image(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(transformer, "fold_image", watch)
    bake(model, TILE, consume=True)
    assert alive == [3, 2, 1]


def test_everything_that_computes_is_a_unit(model: TsdSr, baked: Baked, traced: Trace) -> None:
    assert {op.unit for op in traced.ops} - {None} == find_units(baked).keys()
    image = noise(1, 3, TILE, TILE)
    assert difference(Walker(traced)(image), model(image)) < 3e-5


def test_true_fp16_is_what_pytorch_computes_in_half(
    model: TsdSr, baked: Baked, traced: Trace
) -> None:
    image = noise(1, 3, TILE, TILE)
    exact = model(image)
    half = apply_plan(baked, PLAN)(image)
    walked = HalfWalker(traced, PLAN.list_wide(find_units(baked)))(image)
    assert half.dtype is BORDER  # a stage's border
    error = float((half - exact).square().mean().sqrt())
    assert 0 < error < 1e-2
    assert float((walked - half).square().mean().sqrt()) < 1.5 * error
