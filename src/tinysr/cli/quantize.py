"""`tinysr calibrate --precision int8`, w8 or w4: layers that keep more bits, and ranges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tinysr.progress import show_progress
from tinysr.terminal import Output, style_text

if TYPE_CHECKING:
    from tinysr.calibration import BudgetResult
    from tinysr.export.plans.quantization import QuantizationPlan

__all__ = ["name_plan", "quantize"]


def quantize(
    model: str,
    name: str,
    *,
    check: Path | None,
    folder: Path,
    tile: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Find a plan and write it, or say whether one holds; its name is of :func:`name_plan`.

    Raises:
        UnsupportedError: the plan is for another precision or target.
        GateError: the plan does not hold, or none does.
    """
    from tinysr.atomic import write_atomically
    from tinysr.calibration import find_quantization, hold_to_budget
    from tinysr.errors import CalibrationError, GateError, UnsupportedError
    from tinysr.export import DEFAULT_TILE
    from tinysr.export.plans.files import plan_name
    from tinysr.export.plans.quantization import PLANNED, load_quantization, quantization_text
    from tinysr.workflows.models import open_model

    target, form = PLANNED[name]
    plan = load_quantization(check) if check else None
    if plan is not None and plan.name != name:
        raise UnsupportedError(f"{check}: expected a plan for {name}, found one for {plan.name}")
    if plan is not None and tile not in (None, plan.tile):
        raise UnsupportedError(
            f"the plan was found on tiles of {plan.tile}: expected --tile {plan.tile}, found {tile}"
        )
    with show_progress() as tell:
        tell("reading the model", 0, 1)
        loaded, own_tile = open_model(model)
        if plan is None:
            side = tile or own_tile or DEFAULT_TILE
            plan, found = find_quantization(
                loaded,
                form,
                tile=side,
                target=target,
                seed=seed,
                state=folder / "state",
                progress=tell,
            )
            write_atomically(folder / plan_name(name), quantization_text(plan), CalibrationError)
        else:
            found = hold_to_budget(loaded, plan, seed=seed, progress=tell)
    _tell(plan, found, as_json=as_json)
    if not found.passed:
        raise GateError(f"the plan does not hold: {found.said}")


def name_plan(precision: str, target: str) -> str:
    """Return the name of the plan for a precision in a target's formats.

    Raises:
        UnsupportedError: plans are not found for one of them.
    """
    from tinysr.errors import UnsupportedError, choice_error
    from tinysr.export.plans.quantization import PLANNED

    targets = dict.fromkeys(kind for kind, _ in PLANNED.values())
    if target not in targets:
        raise choice_error("target of a plan", target, targets)
    names = {form: name for name, (kind, form) in PLANNED.items() if kind == target}
    for form, name in names.items():
        if form == precision:
            return name
    for kind, form in PLANNED.values():
        if form == precision:
            raise UnsupportedError(f"{target} has no weights in {precision}: add --target {kind}")
    raise choice_error("precision", precision, ("fp16", *names))


def _tell(plan: QuantizationPlan, found: BudgetResult, *, as_json: bool) -> None:
    if as_json:
        data = {"plan": plan.model_dump(), "passed": found.passed, "worst_db": found.worst_db}
        Output().json(data | {"image": found.image, "lost_db": found.lost_db})
        return
    output = Output()
    output.line(style_text(plan.name, "bold"), f": {found.said}")
    if plan.method:
        output.line(f"  ranges: {plan.method}")
    for entry in plan.keep:
        output.line(f"  kept {entry.precision}: {entry.module}: {entry.reason}")
