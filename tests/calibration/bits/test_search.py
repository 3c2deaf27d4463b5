"""Plans that are found hold their budget and their gate."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from tests.support.chains import make_chain
from tests.support.quantization import export, make_plan
from tests.support.tiny_models import TILE
from tinysr.calibration import BudgetResult, find_quantization, hold_to_budget
from tinysr.calibration.bits.budget import _truth_db
from tinysr.calibration.ranges.images import degrade_photos
from tinysr.export import BakedTinySR
from tinysr.export.plans.quantization import QUANTIZED, Format
from tinysr.models import Loaded
from tinysr.parity import compute_references, gate_bundle
from tinysr.runtime.backends.onnxruntime import OnnxRuntimeBackend
from tinysr.suite import suite

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("precision", QUANTIZED)
def test_the_plan_that_is_found_holds_its_budget_and_its_gate(
    precision: Format, loaded: Loaded, tmp_path: Path
) -> None:
    plan, result = find_quantization(loaded, precision, tile=TILE)
    assert result.passed
    assert bool(plan.method) == (precision == "int8")
    assert all(entry.reason for entry in plan.keep)
    export(loaded, tmp_path / "made", plan)
    references = compute_references(loaded.model, suite(TILE))
    report = gate_bundle(tmp_path / "made", references, backends=[OnnxRuntimeBackend()])
    assert report.passed, report.failure


def test_a_plan_that_rounds_too_much_does_not_hold(
    loaded: Loaded, ranges: dict[str, float]
) -> None:
    narrow = {path: value / 100 for path, value in ranges.items()}
    found = hold_to_budget(loaded, make_plan(loaded, "int8", narrow))
    assert not found.passed
    assert "at least 32" in found.said


def test_infinity_on_a_photo_breaks_the_budget() -> None:
    """Clamped, it would be white, and may be near the truth."""
    (photo, *_) = degrade_photos(TILE)

    class Infinite(torch.nn.Module):
        chain = make_chain(TILE)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.full((1, 3, 4 * TILE, 4 * TILE), torch.inf)

    assert _truth_db(cast(BakedTinySR, Infinite()), photo) == -np.inf
    assert not BudgetResult(image="", worst_db=99, lost_db=np.inf, gate_db=32).passed
