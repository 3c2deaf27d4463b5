"""Every baking pass keeps the function and its input; the whole of them leaves only the image."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.support.tiny_models import CONFIG, TILE, difference, noise, tiny_model
from tinysr.errors import GateError, UnsupportedError
from tinysr.export import BAKE_TOLERANCE, BakedTinySR, bake, prove_baked
from tinysr.export.families.tinysr.bake import PIPELINE, bake_tinysr
from tinysr.export.families.tinysr.baked import list_unfolded
from tinysr.export.families.tinysr.passes import (
    fold_attention_scale,
    fold_latent_scale,
    freeze_conditioning,
)
from tinysr.export.model.resize import FixedResize
from tinysr.models import TinySR

TOLERANCE = 1e-5
"""Largest difference that one pass may make, relative to the output's largest value."""

UNIT = 3 * CONFIG.vae.scaling_factor
"""The unit that `fold_latent_scale` chooses for the latents."""

POSITIONS = range(len(PIPELINE))
NAMES = [fold.__name__ for fold in PIPELINE]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def eager() -> TinySR:
    return tiny_model()


@pytest.fixture(scope="module")
def steps(eager: TinySR) -> list[BakedTinySR]:
    """Return the model before the first pass and after each one."""
    models = [freeze_conditioning(eager, TILE)]
    for fold in PIPELINE:
        models.append(fold(models[-1]))
    return models


def stages(model: BakedTinySR, lr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return latents and restored ones in the eager model's unit."""
    z = model.encoder(lr)
    unit = model.chain.field("latents").unit
    return z / unit, model.transformer(z) / unit


def snapshot(model: nn.Module) -> tuple[dict[str, torch.Tensor], str, list[str]]:
    """Return all that a pass could change in place."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return state, repr(model), list(list_unfolded(model))


def unchanged(model: nn.Module, before: tuple[dict[str, torch.Tensor], str, list[str]]) -> bool:
    state, *rest = snapshot(model)
    same = all(torch.equal(state[name], tensor) for name, tensor in before[0].items())
    return same and state.keys() == before[0].keys() and rest == list(before[1:])


def test_the_tiny_model_is_modulated_strongly(eager: TinySR) -> None:
    """Otherwise a forgotten fold might pass."""
    frozen = freeze_conditioning(eager, TILE)
    for block in frozen.transformer.blocks:
        for vector in (block.norm_attn.scale, block.norm_ff.shift, block.gate_attn, block.gate_ff):
            assert vector is not None
            assert vector.std() > 0.5
    assert not torch.equal(eager.predict(z := noise(1, 16, 8, 8)), torch.zeros_like(z))


def test_freezing_the_conditions_keeps_the_result(eager: TinySR, steps: list[BakedTinySR]) -> None:
    lr = noise(2, 3, TILE, TILE)
    assert difference(steps[0](lr), eager(lr)) <= TOLERANCE
    z = eager.encode(lr)
    for found, expected in zip(stages(steps[0], lr), (z, eager.restore(z)), strict=True):
        assert difference(found, expected) <= TOLERANCE


@pytest.mark.parametrize("position", POSITIONS, ids=NAMES)
def test_a_pass_keeps_the_result(position: int, steps: list[BakedTinySR]) -> None:
    before, after = steps[position], steps[position + 1]
    lr = noise(2, 3, TILE, TILE, seed=position)
    assert difference(after(lr), before(lr)) <= TOLERANCE
    for found, expected in zip(stages(after, lr), stages(before, lr), strict=True):
        assert difference(found, expected) <= TOLERANCE


@pytest.mark.parametrize("position", POSITIONS, ids=NAMES)
def test_a_pass_leaves_its_input_as_it_was(
    position: int, eager: TinySR, steps: list[BakedTinySR]
) -> None:
    model = steps[position]
    before, before_eager = snapshot(model), snapshot(eager)
    PIPELINE[position](model)
    assert unchanged(model, before)
    assert unchanged(eager, before_eager)


@pytest.mark.parametrize("position", POSITIONS, ids=NAMES)
def test_a_pass_folds_something_and_refuses_to_run_twice(
    position: int, steps: list[BakedTinySR]
) -> None:
    assert repr(steps[position + 1]) != repr(steps[position]) or len(
        list(list_unfolded(steps[position + 1]))
    ) < len(list(list_unfolded(steps[position])))
    with pytest.raises((TypeError, ValueError)):
        PIPELINE[position](steps[position + 1])


def test_only_one_pass_changes_the_unit_of_the_latents(steps: list[BakedTinySR]) -> None:
    for fold, before, after in zip(PIPELINE, steps, steps[1:], strict=False):
        units = [model.chain.field("restored").unit for model in (before, after)]
        assert units[1] == pytest.approx(1 / UNIT if fold is fold_latent_scale else units[0])


def test_the_attention_scale_folds_without_rounding(steps: list[BakedTinySR]) -> None:
    position = PIPELINE.index(fold_attention_scale)
    lr = noise(1, 3, TILE, TILE)
    assert torch.equal(steps[position](lr), steps[position + 1](lr))


def test_baking_is_the_pipeline_and_leaves_nothing(eager: TinySR, steps: list[BakedTinySR]) -> None:
    before = snapshot(eager)
    baked = bake(eager, TILE)
    assert unchanged(eager, before)
    assert not list(list_unfolded(baked))
    lr = noise(2, 3, TILE, TILE)
    assert torch.equal(baked(lr), steps[-1](lr))
    assert difference(baked(lr), eager(lr)) <= TOLERANCE
    words = " ".join([*baked.state_dict(), *(type(m).__name__ for m in baked.modules())]).lower()
    for word in ("time", "text", "pooled", "norm1", "linear_1", "gate", "scale", "modulation"):
        assert word not in words


def test_a_baked_model_shares_what_no_pass_changed(eager: TinySR) -> None:
    baked = bake(eager, TILE)
    name = "decoder.layers.2.conv.0.weight"
    assert baked.get_parameter(name).data_ptr() == eager.get_parameter(name).data_ptr()


@pytest.mark.parametrize("separable", [(True, False), (False, False), (False, True), (True, True)])
def test_every_kind_of_autoencoder_bakes(separable: tuple[bool, bool]) -> None:
    model = tiny_model(separable=separable)
    lr = noise(2, 3, TILE, TILE)
    assert difference(bake(model, TILE)(lr), model(lr)) <= TOLERANCE


@pytest.mark.parametrize("tile", [16, 20, 32])
def test_a_tile_gets_the_positions_of_its_size(tile: int, eager: TinySR) -> None:
    lr = noise(1, 3, tile, tile)
    assert difference(bake(eager, tile)(lr), eager(lr)) <= TOLERANCE


def test_a_model_without_weights_bakes() -> None:
    with torch.device("meta"):
        model = TinySR(CONFIG)
    baked = bake(model, TILE)
    assert {tensor.device.type for name, tensor in baked.state_dict().items()} >= {"meta"}
    real = bake(tiny_model(), TILE).state_dict()
    assert {n: t.shape for n, t in baked.state_dict().items()} == {
        n: t.shape for n, t in real.items()
    }


@pytest.mark.parametrize(
    ("tile", "words"),
    [
        (-16, "at least 16"),
        (0, "at least 16"),
        (12, "at least 16"),
        (18, "divides by 4, found 18"),
        (36, "8"),  # the table has 8×8 tokens, this tile 9×9
    ],
)
def test_a_tile_that_does_not_fit_is_refused(tile: int, words: str, eager: TinySR) -> None:
    with pytest.raises(UnsupportedError, match=words):
        bake(eager, tile)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (7, 5), (16, 16), (31, 33)], ids=str)
def test_the_fixed_resize_is_pytorchs_to_the_borders(size: tuple[int, int]) -> None:
    resize = FixedResize()
    edges = torch.zeros(1, 3, *size)
    edges[..., 0, 0] = edges[..., -1, -1] = 1
    for lr in (noise(2, 3, *size), (noise(2, 3, *size, seed=1) > 0.5).float(), edges):
        expected = F.interpolate(lr, scale_factor=4, mode="bicubic", align_corners=False)
        assert resize(lr).shape == expected.shape
        assert (resize(lr) - expected).abs().max() <= 1e-6


def test_the_proof_names_its_passes_and_stays_under_its_tolerance(eager: TinySR) -> None:
    proof = prove_baked(eager, bake(eager, TILE), noise(1, 3, TILE, TILE))
    assert 0 < proof.difference <= TOLERANCE < proof.tolerance == BAKE_TOLERANCE
    assert proof.passes == ("freeze_conditioning", *NAMES)


def off_by_a_little(baked: BakedTinySR) -> None:
    baked.decoder.layers[-1].get_parameter("bias").add_(1e-3)


def one_gate_forgotten(baked: BakedTinySR) -> None:
    baked.transformer.blocks[1].ff.proj_out.weight *= 0.9


def not_a_number(baked: BakedTinySR) -> None:
    baked.encoder.layers[0].get_parameter("depthwise.weight")[0] = torch.nan


def infinite(baked: BakedTinySR) -> None:
    baked.decoder.layers[-1].get_parameter("bias")[0] = torch.inf


@pytest.mark.parametrize("tamper", [off_by_a_little, one_gate_forgotten, not_a_number, infinite])
def test_the_proof_fails_for_a_wrong_model(
    tamper: Callable[[BakedTinySR], None], eager: TinySR
) -> None:
    baked = copy.deepcopy(bake_tinysr(eager, TILE))
    tamper(baked)
    with pytest.raises(GateError, match="differs from the eager one") as caught:
        prove_baked(eager, baked, noise(1, 3, TILE, TILE))
    assert caught.value.exit_code == 1
