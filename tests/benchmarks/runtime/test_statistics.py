"""Windows of a decoder are exact once the statistics of its norms are given."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.support.tiny_adcsr import tiny_adcsr
from tinysr.benchmarks.runtime.statistics import Way, compare_ways
from tinysr.export.model.given_norms import give_statistics, measure_statistics

pytestmark = pytest.mark.usefixtures("one_thread")

TILE = 64


@pytest.fixture(scope="module")
def ways() -> dict[str, Way]:
    model = tiny_adcsr()
    chain = model.chain(TILE)
    field = chain.field(chain.stages[-1].reads)
    coarse = torch.randn(1, field.channels, 8, 8, generator=torch.Generator().manual_seed(0))
    features = F.interpolate(coarse, size=(48, 56), mode="bicubic")
    return {way.name: way for way in compare_ways(model, features, TILE)}


def test_windows_and_the_whole_agree_bit_for_bit(ways: dict[str, Way]) -> None:
    for name in ("windows, statistics of the whole", "windows, statistics of half the size"):
        assert ways[name].runs > 1
        assert ways[name].same_bits


def test_statistics_of_the_whole_change_nothing(ways: dict[str, Way]) -> None:
    exact = ways["windows, statistics of the whole"]
    assert exact.psnr_db is None or exact.psnr_db > 100


def test_each_way_loses_more_than_the_one_before(ways: dict[str, Way]) -> None:
    names = (
        "windows, statistics of the whole",
        "windows, statistics of half the size",
        "blended tiles",
    )
    exact, half, blended = (ways[name].psnr_db or 999.0 for name in names)
    assert exact > half > blended


def test_given_statistics_are_those_of_the_norm() -> None:
    norm = torch.nn.GroupNorm(2, 6, eps=1e-3)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    stage = torch.nn.Sequential(norm).requires_grad_(False)
    x = torch.randn(1, 6, 9, 7)
    given = give_statistics(stage, measure_statistics(stage, x))
    torch.testing.assert_close(given(x), stage(x), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(given(2 * x), stage(2 * x))
