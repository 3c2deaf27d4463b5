"""Masked and pruned models: a hard mask is the model of fewer layers."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from tests.support.tiny_models import CONFIG, TILE, noise
from tinysr.errors import UnsupportedError
from tinysr.export import bake
from tinysr.models import ModelConfig, TinySR, TransformerConfig
from tinysr.models.families.tinysr.seeded import seed_model
from tinysr.training.lora import with_lora
from tinysr.training.pruning import MaskDistribution, SearchSpace
from tinysr.training.pruning.masked import MaskedTinySR, block_influence, prune, weigh

DEPTH = 4
KEEP = (0, 3)


def as_mask(keep: tuple[int, ...]) -> Tensor:
    return torch.tensor([float(layer in keep) for layer in range(DEPTH)])


@pytest.fixture(scope="module")
def model() -> TinySR:
    size = CONFIG.transformer
    transformer = TransformerConfig(
        depth=DEPTH, heads=size.heads, pooled_size=size.pooled_size,
        position_grid=size.position_grid,
    )  # fmt: skip
    return seed_model(ModelConfig(vae=CONFIG.vae, transformer=transformer), 7)


@pytest.fixture(scope="module")
def image() -> Tensor:
    return noise(2, 3, TILE, TILE)


@pytest.mark.parametrize("bypass", [True, False])
def test_a_full_mask_is_the_plain_model(model: TinySR, image: Tensor, bypass: bool) -> None:
    masked = MaskedTinySR(model, bypass=bypass)
    assert torch.equal(masked(image, torch.ones(DEPTH)), model(image))


@pytest.mark.parametrize("keep", list(itertools.combinations(range(DEPTH), 2)))
def test_a_hard_mask_is_the_pruned_model(
    model: TinySR, image: Tensor, keep: tuple[int, int]
) -> None:
    pruned = prune(model, keep)
    assert pruned.config.transformer.depth == len(pruned.transformer.blocks) == 2
    expected = pruned(image)
    for bypass in (True, False):
        assert torch.equal(MaskedTinySR(model, bypass=bypass)(image, as_mask(keep)), expected)
    assert not torch.equal(expected, model(image))


def test_a_soft_mask_weighs_what_a_layer_changes(model: TinySR, image: Tensor) -> None:
    z = model.encode(image)
    block, conditioning = model.transformer.blocks[1], noise(2, model.config.transformer.dim)
    x = model.transformer.pos_embed(z)
    whole = block(x, conditioning) - x
    half = weigh(block, x, conditioning, torch.tensor(0.5), bypass=True) - x
    torch.testing.assert_close(half, whole / 2, atol=1e-5, rtol=1e-4)


def test_bypassed_layers_get_no_gradient_and_the_others_the_same(
    model: TinySR, image: Tensor
) -> None:
    slopes = {}
    for bypass in (True, False):
        mask = as_mask(KEEP).requires_grad_()
        MaskedTinySR(model, bypass=bypass)(image, mask).square().mean().backward()
        assert mask.grad is not None
        slopes[bypass] = mask.grad
    torch.testing.assert_close(slopes[True][list(KEEP)], slopes[False][list(KEEP)])
    assert not slopes[True][[1, 2]].any()
    assert slopes[False][[1, 2]].all()


def test_a_loss_of_the_image_moves_the_logits(model: TinySR, image: Tensor) -> None:
    distribution = MaskDistribution(SearchSpace(layers=DEPTH, block=2, keep=1))
    mask = distribution.sample(1.0, torch.Generator().manual_seed(0))
    MaskedTinySR(model, bypass=False)(image, mask).square().mean().backward()
    for logits in distribution.parameters():
        assert logits.grad is not None
        assert logits.grad.abs().max() > 0


def test_pruning_copies_and_leaves_the_teacher_alone(model: TinySR) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    pruned = prune(model, KEEP)
    with torch.no_grad():
        for parameter in pruned.parameters():
            parameter.add_(1)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_pruned_model_bakes(model: TinySR, image: Tensor) -> None:
    pruned = prune(model, KEEP)
    torch.testing.assert_close(bake(pruned, TILE)(image), pruned(image), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("keep", [(), (1, 0), (0, 0), (0, 4)])
def test_layers_that_are_not_there_are_refused(model: TinySR, keep: tuple[int, ...]) -> None:
    with pytest.raises(UnsupportedError, match="rising and from 0 to 3"):
        prune(model, keep)


def test_a_lora_must_be_merged_before_pruning(model: TinySR) -> None:
    adapted = TinySR(model.config)
    adapted.transformer = with_lora(model.transformer, 2)
    with pytest.raises(UnsupportedError, match="merge its LoRA first"):
        prune(adapted, KEEP)


def test_influence_is_one_minus_the_cosine_of_a_layer_s_ends(model: TinySR, image: Tensor) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    hooks = [
        block.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
        for block in model.transformer.blocks
    ]
    z = model.encode(image)
    model.predict(z)
    for hook in hooks:
        hook.remove()
    expected = []
    for x, y in seen:
        cosine = (x * y).sum(-1) / (x.norm(dim=-1) * y.norm(dim=-1))
        expected.append(1 - float(cosine.mean()))
    assert block_influence(model, z) == pytest.approx(expected, abs=1e-5)
    assert min(expected) > 0
