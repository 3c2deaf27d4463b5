"""The finder keeps what the gate needs and nothing else, whatever a kernel's last bits are."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from tests.support.tiny_models import TILE
from tinysr.calibration import CalibrationOptions, Trace, calibrate, compute_truths, evaluate
from tinysr.calibration.bits import finder
from tinysr.calibration.bits.evaluate import Evaluation, ImageScore
from tinysr.calibration.bits.finder import find_plan, group_paths
from tinysr.export import BakedTinySR
from tinysr.models import Loaded
from tinysr.parity import gate_db

pytestmark = pytest.mark.usefixtures("one_thread")


def test_what_the_gate_needs_is_found_when_ranges_do_not_say_it(
    traced: Trace, baked: BakedTinySR, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = calibrate(loaded, CalibrationOptions(tile=TILE, limit=1)).ranges
    expected = compute_truths(traced, TILE)[:3]
    before = evaluate(traced, (), expected, gate_db("fp16")).worst
    assert before.psnr_db is not None
    gate = before.psnr_db + 1
    monkeypatch.setattr("tinysr.calibration.bits.finder.gate_db", lambda _: gate)
    plan, evaluation = find_plan(baked, traced, ranges, expected, margin=4.0)
    assert evaluation.passed
    assert plan.keep
    assert all("for the gate of" in entry.reason for entry in plan.keep)
    for entry in plan.keep:
        fewer = {e.module for e in plan.keep} - {entry.module}
        assert not evaluate(traced, fewer, expected, gate).passed


def test_what_another_module_made_needless_is_let_go_too() -> None:
    """Errors can cancel: here the first is needed beside the second, and not without it."""
    passing = [{"first", "second", "third"}, {"first", "third"}, {"third"}]

    class Fake:
        def evaluate(self, wide: Collection[str]) -> Evaluation:
            score = ImageScore(image="white", finite=True, psnr_db=1.0, passed={*wide} in passing)
            return Evaluation(gate_db=1.0, scores=(score,))

    suite = Fake()
    kept = dict.fromkeys(("first", "second", "third"), "for the gate")
    left, evaluation = finder._drop_unneeded(suite, {}, kept, suite.evaluate(kept))  # type: ignore[arg-type]
    assert [*left] == ["third"]
    assert evaluation.passed


def test_groups_are_the_next_parts_of_names() -> None:
    groups = group_paths(["a.b", "a.b.c", "a.b.d.e", "a.b.d.f"], "a.b")
    assert groups == {"a.b itself": ["a.b"], "a.b.c": ["a.b.c"], "a.b.d": ["a.b.d.e", "a.b.d.f"]}
    assert group_paths(["a.b", "c"], "") == {"a": ["a.b"], "c": ["c"]}
