"""Plans that an export needs: given, shipped, or found on the way."""

from __future__ import annotations

from dataclasses import replace

from tinysr.calibration import CalibrationOptions, calibrate, find_quantization, find_shipped_plan
from tinysr.errors import GateError
from tinysr.export import ExportOptions
from tinysr.export.plans.files import Plan
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.export.plans.quantization import PLANNED
from tinysr.models import Loaded
from tinysr.progress import Progress

__all__ = ["add_missing_plans"]


def add_missing_plans(
    loaded: Loaded, options: ExportOptions, tell: Progress
) -> tuple[ExportOptions, dict[str, str]]:
    """Return the options with the plans that are missing, and the origin of each plan in words.

    Raises:
        GateError: a plan had to be found, and none holds.
    """
    origins: dict[str, str] = {plan.name: "as given" for plan in options.plans}
    for name in options.list_missing():
        plan = find_shipped_plan(loaded.source.sha256, name, options.tile)
        origins[name] = "that comes with tinysr" if plan else "found on the built-in images"
        plan = plan or _find(loaded, name, options.tile, tell)
        if isinstance(plan, PrecisionPlan):
            options = replace(options, plan=plan)
        else:
            options = replace(options, quantization=(*options.quantization, plan))
    return options, origins


def _find(loaded: Loaded, name: str, tile: int, tell: Progress) -> Plan:
    if name in PLANNED:
        target, form = PLANNED[name]
        return find_quantization(loaded, form, tile=tile, target=target, progress=tell)[0]
    found = calibrate(loaded, CalibrationOptions(tile=tile), tell)
    if not found.verdict.passed:
        raise GateError(f"no precision plan holds: {found.verdict.failure}")
    return found.plan
