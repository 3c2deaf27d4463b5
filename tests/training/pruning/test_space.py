"""The space of masks: counted, and refused where there is none."""

from __future__ import annotations

import pytest

from tests.support.masks import randomised
from tinysr.errors import UnsupportedError
from tinysr.training.pruning import SearchSpace
from tinysr.training.pruning.space import Pairing

PAPER = SearchSpace(layers=24)


def test_the_space_has_as_many_masks_as_the_paper_says() -> None:
    assert PAPER.total == 2_704_156
    assert PAPER.local == 6**6
    assert PAPER.local / PAPER.total < 0.02
    assert (PAPER.kept, PAPER.pairs) == (12, ((0, 1), (2, 3), (4, 5)))


@pytest.mark.parametrize("pairing", ["disjoint", "neighbours"])
@pytest.mark.parametrize(("layers", "block", "keep"), [(8, 4, 2), (12, 4, 2), (12, 6, 3)])
def test_counts_are_those_of_an_enumeration(
    layers: int, block: int, keep: int, pairing: Pairing
) -> None:
    space = SearchSpace(layers=layers, block=block, keep=keep, pairing=pairing)
    masks = list(space.masks())
    assert len(masks) == space.total
    assert sum(map(space.is_local, masks)) == space.local
    assert sum(map(space.is_reachable, masks)) == space.reachable > space.local


@pytest.mark.parametrize("pairing", ["disjoint", "neighbours"])
def test_what_counts_as_reachable_is_what_decisions_reach(pairing: Pairing) -> None:
    space = SearchSpace(layers=8, pairing=pairing)
    decided = {randomised(space, seed).decide() for seed in range(1500)}
    assert decided == {mask for mask in space.masks() if space.is_reachable(mask)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layers": 10}, "blocks that divide 10 layers"),
        ({"layers": 8, "keep": 4}, "blocks of 4 that keep 4"),
        ({"layers": 8, "pairing": "ring"}, "disjoint, neighbours"),
        ({"layers": 6, "block": 2, "keep": 1, "pairing": "neighbours"}, "two neighbours"),
    ],
)
def test_spaces_that_can_not_be_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        SearchSpace(**fields)  # type: ignore[arg-type]
