"""Mask learning finds the best mask, and every other method one of the same depth."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.support.masks import SMALL
from tinysr.training.pruning import (
    METHODS,
    Annealing,
    Evidence,
    KeptLayers,
    MaskDistribution,
    SearchConfig,
    SearchSpace,
    learn_masks,
)

# A network whose best mask keeps three layers of its first block and one of its second.


def toy_loss(best: KeptLayers, layers: int, seed: int) -> Callable[[Tensor], Tensor]:
    """Return a loss over masks whose one minimum is ``best``: layers help each other."""
    generator = torch.Generator().manual_seed(seed)
    need = torch.rand(layers, generator=generator) * 0.3
    need[list(best)] = 1 + 0.5 * torch.rand(len(best), generator=generator)
    helps = torch.rand(layers, layers, generator=generator) * 0.1

    def loss(mask: Tensor) -> Tensor:
        lost = 1 - mask
        return (need * lost).sum() + lost @ helps @ lost

    return loss


def as_mask(kept: KeptLayers, layers: int) -> Tensor:
    mask = torch.zeros(layers)
    mask[list(kept)] = 1
    return mask


@pytest.mark.parametrize("seed", range(4))
def test_trades_find_the_best_mask_where_block_local_search_can_not(seed: int) -> None:
    space = SearchSpace(layers=8)
    outside = [m for m in space.masks() if space.is_reachable(m) and not space.is_local(m)]
    best = outside[11 * seed % len(outside)]
    loss = toy_loss(best, 8, seed)
    ranking = sorted(space.masks(), key=lambda kept: float(loss(as_mask(kept, 8))))
    assert ranking[0] == best
    config = SearchConfig(annealing=Annealing(steps=400), seed=seed)
    found = learn_masks(MaskDistribution(space), lambda mask, _: loss(mask), config)
    local = learn_masks(MaskDistribution(space, trades=False), lambda mask, _: loss(mask), config)
    assert found == best
    assert local == next(kept for kept in ranking if space.is_local(kept))
    assert loss(as_mask(local, 8)) > loss(as_mask(best, 8))


def test_a_finished_search_is_sure_of_its_decision() -> None:
    loss = toy_loss((0, 1, 2, 5), 8, 0)
    distribution = MaskDistribution(SMALL)
    assert distribution.confidence() < 0.2
    learn_masks(
        distribution,
        lambda mask, _: loss(mask),
        SearchConfig(annealing=Annealing(steps=400)),
    )
    assert distribution.confidence() > 0.8


def test_every_method_answers_with_a_mask_of_the_same_depth() -> None:
    asked: list[KeptLayers] = []

    def loss(kept: KeptLayers) -> float:
        asked.append(kept)
        return -float(sum(kept))  # late layers matter

    evidence = Evidence(
        space=SMALL,
        loss=loss,
        influence=lambda: [0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6],
        learn=lambda trades: (0, 1, 2, 5) if trades else (0, 1, 4, 5),
    )
    found = {name: method(evidence) for name, method in METHODS.items()}
    assert found["shortgpt"] == (1, 3, 5, 7)
    assert found["sensitivity"] == (4, 5, 6, 7)
    assert found["uniform"] == (0, 2, 5, 7)
    assert found["tinysr"] == (0, 1, 2, 5)
    assert found["tinyfusion"] == (0, 1, 4, 5)
    drawn = [kept for kept in asked if len(kept) == SMALL.kept]
    assert len(drawn) > 10
    assert loss(found["random-min"]) == min(map(loss, drawn))
    assert all(len(kept) == SMALL.kept for kept in found.values())
