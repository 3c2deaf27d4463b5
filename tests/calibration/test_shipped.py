"""The plans that come with tinysr are those of the presets, as they are now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT
from tinysr.calibration import find_shipped_plan, read_shipped_plans
from tinysr.export import DEFAULT_TILE, Baked, bake
from tinysr.export.model.integers import find_layers
from tinysr.export.model.typed import find_units
from tinysr.export.options import Plan
from tinysr.export.plans.files import format_any_plan, plan_name
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.export.plans.quantization import COREML_PLANS, QUANTIZED
from tinysr.models import Loaded, load_checkpoint

PLANS = ROOT / "calibration" / "plans"
TINYSR = Path(sys.executable).parent / "tinysr"


@pytest.fixture(scope="module")
def nano() -> Loaded:
    return load_checkpoint("tinysr-nano")


@pytest.fixture(scope="module")
def nano_baked(nano: Loaded) -> Baked:
    return bake(nano.model, DEFAULT_TILE)


@pytest.mark.parametrize("precision", ["fp16", *QUANTIZED, *COREML_PLANS.values()])
def test_nano_has_a_plan_for_every_precision(
    precision: str, nano: Loaded, nano_baked: Baked
) -> None:
    """When its weights are new, so must be its plans: `make plans`."""
    plan = find_shipped_plan(nano.source.sha256, precision, DEFAULT_TILE)
    assert plan is not None
    if isinstance(plan, PrecisionPlan):
        assert plan.list_wide(find_units(nano_baked)).keys() <= find_units(nano_baked).keys()
    else:
        assert plan.formats(find_layers(nano_baked))


def test_other_weights_and_tiles_have_none(nano: Loaded) -> None:
    assert find_shipped_plan("0" * 64, "fp16", DEFAULT_TILE) is None
    assert find_shipped_plan(nano.source.sha256, "fp16", 64) is None


@pytest.mark.parametrize(("name", "plan"), read_shipped_plans().items())
def test_files_are_as_they_were_written(name: str, plan: Plan) -> None:
    assert (PLANS / name).read_text(encoding="utf-8") == format_any_plan(plan)
    assert name.endswith(f"/{plan_name(plan.name)}")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("preset", "precision"), [("tinysr-nano", "fp16"), ("tinysr-nano", "w8")])
def test_the_plan_is_what_is_found(preset: str, precision: str, tmp_path: Path) -> None:
    command: list[str | Path] = [
        TINYSR,
        "calibrate",
        preset,
        "--precision",
        precision,
        "-o",
        tmp_path,
    ]
    subprocess.run(command, check=True)  # noqa: S603
    name = plan_name(precision)
    assert (tmp_path / name).read_bytes() == (PLANS / preset / name).read_bytes()
