"""Plans of integers: read as they were written, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.quantization import CONV, QKV, export, kept, make_plan
from tests.support.tiny_models import TILE
from tinysr.errors import CalibrationError, UnsupportedError
from tinysr.export import BakedTinySR, ExportOptions, export_bundle
from tinysr.export.model.integers import find_layers
from tinysr.export.plans.files import load_any_plan
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.export.plans.quantization import (
    Equalised,
    QuantizationPlan,
    load_quantization,
    quantization_text,
)
from tinysr.models import Loaded

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_plan_is_read_as_it_was_written(
    loaded: Loaded, ranges: dict[str, float], tmp_path: Path
) -> None:
    made = make_plan(loaded, "int8", ranges, QKV).model_copy(
        update={"equalise": (Equalised(module=CONV, exponents=(1, 0, -2)),), "method": "min-max"}
    )
    path = tmp_path / "int8.toml"
    path.write_text(quantization_text(made), encoding="utf-8")
    assert load_quantization(path) == made
    assert load_any_plan(path).sha256 == made.sha256


def test_the_precision_says_what_kind_of_plan_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(f'model_sha256 = "{"0" * 64}"\ntile = 16\n', encoding="utf-8")
    assert isinstance(load_any_plan(path), PrecisionPlan)
    path.write_text(f'model_sha256 = "{"0" * 64}"\ntile = 16\nprecision = "int7"\n')
    with pytest.raises(CalibrationError, match="at precision: Input should be 'fp16'"):
        load_any_plan(path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"keep": [kept("decoder.layers.99")]}, "did you mean 'decoder.layers"),
        ({"keep": [kept("decoder")]}, r"expected 'decoder\.\*'"),
        ({"keep": [kept(QKV, "w8")]}, "in w8: expected fp16 in a plan for int8"),
        ({"ranges": {}}, "no range for 'transformer"),
        ({"equalise": [{"module": "nothing", "exponents": [0]}]}, "the model does not have"),
    ],
)
def test_a_plan_that_does_not_fit_the_model_is_refused(
    change: dict[str, object],
    problem: str,
    loaded: Loaded,
    baked: BakedTinySR,
    ranges: dict[str, float],
) -> None:
    data = make_plan(loaded, "int8", ranges).model_dump() | change
    plan = QuantizationPlan.model_validate(data)
    with pytest.raises(CalibrationError, match=problem):
        plan.formats(find_layers(baked))


def test_ranges_must_be_above_zero(loaded: Loaded) -> None:
    with pytest.raises(ValueError, match="expected a range above 0, found -1"):
        make_plan(loaded, "int8", {QKV: -1.0})


def test_a_plan_of_another_model_is_refused(loaded: Loaded, tmp_path: Path) -> None:
    plan = make_plan(loaded, "w8", {}).model_copy(update={"model_sha256": "0" * 64})
    with pytest.raises(CalibrationError, match="w8 plan is of another model"):
        export(loaded, tmp_path / "new", plan)
    assert not (tmp_path / "new").exists()


def test_plans_must_be_for_what_is_asked_for(loaded: Loaded) -> None:
    plan = make_plan(loaded, "w8", {})
    with pytest.raises(UnsupportedError, match="expected the precision w8, found w4"):
        ExportOptions(tile=TILE, precision="w4", quantization=(plan,))
    with pytest.raises(UnsupportedError, match="one plan for each precision"):
        ExportOptions(tile=TILE, precision="w8", quantization=(plan, plan))
    with pytest.raises(UnsupportedError, match="found on tiles of 16, and the export's are 32"):
        ExportOptions(tile=32, precision="w8", quantization=(plan,))


def test_without_a_plan_there_are_no_integers(loaded: Loaded, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="fp16 needs a precision plan"):
        export_bundle(loaded, tmp_path / "new", ExportOptions(tile=TILE, precision="int8"))
