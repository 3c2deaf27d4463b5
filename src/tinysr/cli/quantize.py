"""`tinysr calibrate --precision int8`, w8 or w4: layers that keep more bits, and ranges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .progress import progress_bar

if TYPE_CHECKING:
    from tinysr.calibration import BudgetResult
    from tinysr.export.quantization import QuantizationPlan

__all__ = ["quantize"]


def quantize(
    model: str,
    precision: str,
    *,
    check: Path | None,
    folder: Path,
    tile: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Find a plan and write it, or say whether one holds.

    Raises:
        UnsupportedError: an unknown precision, or a plan for another one.
        GateError: the plan does not hold, or none does.
    """
    from tinysr.atomic import write_atomically
    from tinysr.calibration import find_quantization, held_to_budget
    from tinysr.errors import CalibrationError, GateError, UnsupportedError, choices
    from tinysr.export import DEFAULT_TILE
    from tinysr.export.plans import plan_name
    from tinysr.export.quantization import QUANTIZED, load_quantization, quantization_text

    from .calibrate import load_model

    form = next((name for name in QUANTIZED if name == precision), None)
    if form is None:
        raise choices("precision", precision, ("fp16", *QUANTIZED))
    plan = load_quantization(check) if check else None
    if plan is not None and plan.precision != precision:
        raise UnsupportedError(
            f"{check}: expected a plan for {precision}, found one for {plan.precision}"
        )
    if plan is not None and tile not in (None, plan.tile):
        raise UnsupportedError(
            f"the plan was found on tiles of {plan.tile}: expected --tile {plan.tile}, found {tile}"
        )
    with progress_bar() as tell:
        tell("reading the model", 0, 1)
        loaded, own_tile = load_model(model)
        if plan is None:
            side = tile or own_tile or DEFAULT_TILE
            plan, found = find_quantization(
                loaded, form, tile=side, seed=seed, state=folder / "state", progress=tell
            )
            write_atomically(folder / plan_name(form), quantization_text(plan), CalibrationError)
        else:
            found = held_to_budget(loaded, plan, seed=seed, progress=tell)
    _tell(plan, found, as_json=as_json)
    if not found.passed:
        raise GateError(f"the plan does not hold: {found.said}")


def _tell(plan: QuantizationPlan, found: BudgetResult, *, as_json: bool) -> None:
    from rich.console import Console
    from rich.markup import escape

    if as_json:
        data = {"plan": plan.model_dump(), "passed": found.passed, "worst_db": found.worst_db}
        typer.echo(json.dumps(data | {"image": found.image, "lost_db": found.lost_db}, indent=2))
        return
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{plan.precision}[/]: {found.said}")
    if plan.method:
        console.print(f"  ranges: {escape(plan.method)}")
    for entry in plan.keep:
        console.print(f"  kept {entry.precision}: {escape(entry.module)}: {escape(entry.reason)}")
