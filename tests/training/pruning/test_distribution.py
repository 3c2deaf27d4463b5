"""Samples of masks: their depth, their frequencies and their gradients."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support.masks import SMALL, randomised
from tinysr.errors import UnsupportedError
from tinysr.training.pruning import Annealing, KeptLayers, MaskDistribution, SearchSpace
from tinysr.training.pruning.activation import corrode, expand, trade
from tinysr.training.pruning.distribution import list_kept, sample_straight_through
from tinysr.training.pruning.space import Pairing


def every_choice(distribution: MaskDistribution) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the probability of every combination of choices, and the mask it leads to."""
    space, marginals = distribution.space, distribution.marginals()
    p = (distribution.scale * distribution.mask_logits).softmax(-1)
    q = (distribution.scale * distribution.move_logits).softmax(-1)
    for picks in itertools.product(range(len(space.options)), repeat=space.blocks):
        masks = distribution.options[list(picks)]
        for moves in itertools.product(range(3), repeat=len(space.pairs)):
            onehot = torch.eye(3)[list(moves)].reshape(-1, 3)
            chance = torch.stack([p[b, k] for b, k in enumerate(picks)]).prod()
            chance = chance * torch.stack([q[b, k] for b, k in enumerate(moves)]).prod()
            yield chance, trade(masks, marginals, onehot, space.pairs).flatten()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([(8, 4, 2), (12, 4, 2), (16, 4, 2), (12, 6, 3), (12, 2, 1), (12, 3, 1)]),
    st.sampled_from(["disjoint", "neighbours"]),
    st.integers(0, 2**32),
    st.floats(0.05, 10),
)
def test_depth_is_conserved(
    shape: tuple[int, int, int], pairing: Pairing, seed: int, temperature: float
) -> None:
    layers, block, keep = shape
    if pairing == "neighbours" and (keep < 2 or block - keep < 2):
        return  # refused, as another test shows
    space = SearchSpace(layers=layers, block=block, keep=keep, pairing=pairing)
    distribution = randomised(space, seed)
    mask = distribution.sample(temperature, torch.Generator().manual_seed(seed))
    assert set(mask.tolist()) <= {0.0, 1.0}
    assert mask.sum() == space.kept
    assert len(distribution.decide()) == space.kept
    if pairing == "disjoint":
        for first, _ in space.pairs:
            assert mask[first * block : (first + 2) * block].sum() == 2 * keep


@pytest.mark.parametrize("kept", list(itertools.combinations(range(4), 2)))
def test_expansion_adds_the_likeliest_layer_and_corrosion_takes_the_unlikeliest(
    kept: KeptLayers,
) -> None:
    marginals = torch.tensor([0.4, 0.9, 0.1, 0.6])
    mask = torch.zeros(4)
    mask[list(kept)] = 1
    out = [layer for layer in range(4) if layer not in kept]
    added = max(out, key=lambda layer: float(marginals[layer]))
    lost = min(kept, key=lambda layer: float(marginals[layer]))
    assert list_kept(expand(mask, marginals)) == tuple(sorted((*kept, added)))
    assert list_kept(corrode(mask, marginals)) == tuple(k for k in kept if k != lost)


def test_marginals_and_their_gradients_are_those_of_an_enumeration() -> None:
    distribution = randomised(SMALL, trades=False)
    weights = torch.arange(8.0)
    found = torch.autograd.grad(
        (distribution.marginals().flatten() * weights).sum(), distribution.mask_logits
    )[0]
    p = distribution.mask_logits.softmax(-1)
    expected = torch.zeros(())
    for a, b in itertools.product(range(6), repeat=2):
        mask = torch.cat([distribution.options[a], distribution.options[b]])
        expected = expected + p[0, a] * p[1, b] * (mask * weights).sum()
    slope = torch.autograd.grad(expected, distribution.mask_logits)[0]
    torch.testing.assert_close(found, slope)


def test_samples_are_as_frequent_as_equation_6_says() -> None:
    distribution = randomised(SMALL, 3)
    expected: dict[KeptLayers, float] = {}
    for chance, mask in every_choice(distribution):
        key = list_kept(mask)
        expected[key] = expected.get(key, 0.0) + chance.item()
    assert sum(expected.values()) == pytest.approx(1, abs=1e-5)
    generator, draws = torch.Generator().manual_seed(0), 4000
    found: dict[KeptLayers, int] = {}
    for _ in range(draws):
        key = list_kept(distribution.sample(1.0, generator))
        found[key] = found.get(key, 0) + 1
    distance = sum(abs(found.get(k, 0) / draws - p) for k, p in expected.items()) / 2
    assert distance < 0.04  # in total variation; by chance it is about 0.02
    assert found.keys() <= expected.keys()


def test_a_sample_has_the_gradient_of_its_soft_choices() -> None:
    """Held against differences of the products of equation 8 at the sampled, hard choices."""
    distribution = randomised(SMALL, 5).double()
    temperature, weights = 0.7, torch.linspace(-1, 2, 8, dtype=torch.float64)

    def waits(seed: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return [
            torch.empty_like(logits).exponential_(generator=generator)
            for logits in (distribution.mask_logits, distribution.move_logits)
        ]

    for seed in range(20):
        distribution.zero_grad()
        mask = distribution.sample(temperature, torch.Generator().manual_seed(seed))
        (mask * weights).sum().backward()
        softs = [
            ((logits.detach() - wait.log()) / temperature).softmax(-1)
            for logits, wait in zip(distribution.parameters(), waits(seed), strict=True)
        ]
        hards = [torch.nn.functional.one_hot(s.argmax(-1), s.shape[-1]).double() for s in softs]

        def loss(picks: Tensor, moves: Tensor, hard: Tensor = hards[0]) -> float:
            # Products of candidates that the hard masks fix, as in equation 8.
            a, b = picks @ distribution.options
            ha, hb = hard @ distribution.options
            pa, pb = distribution.marginals().detach()
            grow = [x + c - x * c for x, c in ((a, _union(ha, pa)), (b, _union(hb, pb)))]
            shrink = [x * c for x, c in ((a, _cut(ha, pa)), (b, _cut(hb, pb)))]
            t = moves[0]
            first = t[0] * a + t[1] * grow[0] + t[2] * shrink[0]
            second = t[0] * b + t[1] * shrink[1] + t[2] * grow[1]
            return float((torch.cat([first, second]) * weights).sum())

        for place, (logits, soft) in enumerate(zip(distribution.parameters(), softs, strict=True)):
            slopes = torch.zeros_like(soft)
            for index in itertools.product(*map(range, soft.shape)):
                moved = [h.clone() for h in hards]
                moved[place][index] += 1  # the products are linear in each choice
                slopes[index] = loss(*moved) - loss(*hards)
            jacobian = soft * (slopes - (soft * slopes).sum(-1, keepdim=True)) / temperature
            assert logits.grad is not None
            torch.testing.assert_close(logits.grad, jacobian)


def _union(mask: Tensor, marginals: Tensor) -> Tensor:
    """Return equation 7's candidate by its definition: ranks until the union has one more."""
    return next(c for c in _candidates(marginals) if torch.maximum(mask, c).sum() == mask.sum() + 1)


def _cut(mask: Tensor, marginals: Tensor) -> Tensor:
    wanted = [c for c in _candidates(marginals) if (mask * c).sum() == mask.sum() - 1]
    return wanted[-1]


def _candidates(marginals: Tensor) -> Iterator[Tensor]:
    candidate = torch.zeros_like(marginals)
    yield candidate.clone()
    for layer in sorted(range(len(marginals)), key=lambda k: -float(marginals[k])):
        candidate[layer] = 1
        yield candidate.clone()


def test_soft_choices_turn_hard_as_the_temperature_falls() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.3]], requires_grad=True)
    sizes = []
    for temperature in (4.0, 1.0, 0.05):
        sample = sample_straight_through(logits, temperature, torch.Generator().manual_seed(1))
        assert sorted(sample.tolist()[0]) == [0, 0, 1]
        soft = torch.autograd.grad(sample[0, 0], logits)[0]
        sizes.append(float(soft.abs().sum() * temperature))
    assert sizes[0] > sizes[1] > sizes[2]
    annealing = Annealing(steps=11, hot=4.0, cold=0.1)
    temperatures = [annealing.temperature(step) for step in (0, 5, 10, 12)]
    assert temperatures == pytest.approx([4.0, 2.05, 0.1, 0.1])
    with pytest.raises(UnsupportedError, match="from 1 to 0"):
        Annealing(steps=5, hot=1, cold=0)
