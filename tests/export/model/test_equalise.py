"""Equalising changes no result, and is refused where it can't be done."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.quantization import QKV
from tests.support.tiny_models import TILE, difference, noise
from tinysr.errors import CalibrationError
from tinysr.export import BakedTinySR
from tinysr.export.model.equalise import equalise, find_equalisable
from tinysr.export.plans.quantization import Equalised

pytestmark = pytest.mark.usefixtures("one_thread")


def test_equalising_changes_no_result(baked: BakedTinySR) -> None:
    generator = np.random.default_rng(0)
    entries = []
    for path in find_equalisable(baked):
        weight = baked.get_submodule(path).get_parameter("weight")
        count = weight.shape[1 if weight.ndim == 4 else 0]
        entries.append(
            Equalised(module=path, exponents=tuple(generator.integers(-4, 5, count).tolist()))
        )
    assert len(entries) >= 6
    image = noise(1, 3, TILE, TILE)
    assert difference(equalise(baked, entries)(image), baked(image)) <= 1e-5


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (Equalised(module="decoder.layers.0", exponents=(0,)), "follows no layer or norm"),
        (Equalised(module=QKV, exponents=(0,)), "expected 64 exponents, found 1"),
    ],
)
def test_what_can_not_be_equalised_is_named(
    entry: Equalised, problem: str, baked: BakedTinySR
) -> None:
    with pytest.raises(CalibrationError, match=problem):
        equalise(baked, [entry])
