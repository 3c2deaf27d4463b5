"""`tinysr calibrate`: ranges of every operation, and the modules that must stay out of fp16."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinysr.progress import show_progress
from tinysr.terminal import Output, style_text

from .common import refuse_existing
from .memory import peak_memory
from .modes import refuse_without_effect
from .numbers import COUNT, SEED, SIDE, TIMES, number_option

if TYPE_CHECKING:
    from tinysr.calibration import Calibration

__all__ = ["calibrate"]


def calibrate(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="A preset, a checkpoint, or the folder of a bundle made from a preset."
        ),
    ] = "tinysr-nano",
    *,
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of low-resolution images, in place of degraded photos; those that can't "
            "be read are named and left out. The parity suite is always measured."
        ),
    ] = None,
    margin: Annotated[
        float | None,
        number_option(
            kind=TIMES,
            text="How many times larger than measured a value may become.  "
            "[default: 4, or the checked plan's]",
        ),
    ] = None,
    limit: Annotated[
        int | None, number_option(kind=COUNT, text="Measure only so many images.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(help="Find no plan, but say whether this one holds; exit code 1 if not."),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="fp16; or int8, w8, w6 or w4, for which only --target, --output, --tile, --seed "
            "and --check count."
        ),
    ] = "fp16",
    target: Annotated[
        str | None,
        typer.Option(
            help="Target whose formats w8, w6 and w4 have: onnx, for graphs and what is built from "
            "them, or coreml.  [default: onnx]"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A folder.  [default: calibrated/MODEL]"),
    ] = None,
    tile: Annotated[
        int | None,
        number_option(
            kind=SIDE,
            text="Side of a tile, in low-resolution pixels.  "
            "[default: 128, or that of the bundle or the checked plan]",
        ),
    ] = None,
    seed: Annotated[int, number_option(kind=SEED, text="Seed of the degradations.")] = 80,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a plan that is there.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, and nothing else.")
    ] = False,
) -> None:
    """Measure a model's ranges, and find the modules that must stay out of fp16.

    OUTPUT gets plan.toml, ranges.json, headroom.png and report.html. Run it again after Ctrl-C,
    and only what is missing is measured.
    """
    from tinysr.errors import require

    for package in ("torch", "onnx", "jinja2", "matplotlib"):
        require(package, extra="calibrate")
    from tinysr import calibration
    from tinysr.export import DEFAULT_TILE
    from tinysr.export.plans.files import plan_name
    from tinysr.export.plans.precision import load_plan
    from tinysr.workflows.models import open_model

    from .quantize import name_plan, quantize

    start = time.perf_counter()
    folder = output or Path("calibrated") / Path(model).stem
    form = name_plan(precision, target or "onnx") if precision != "fp16" else None
    fewer = form is not None
    entered = {
        "a plan for fewer bits" if fewer else "a plan for fp16": True,
        "a check of a plan for fewer bits" if fewer else "a check of a plan": check is not None,
        "a calibration on one's own images": images is not None,
    }
    for mode in (name for name, holds in entered.items() if holds):
        refuse_without_effect(context, mode, {"precision": precision})
    if check is None and not overwrite:
        refuse_existing(folder / plan_name(form or precision))
    if form is not None:
        quantize(model, form, check=check, folder=folder, tile=tile, seed=seed, as_json=as_json)
        return
    plan = load_plan(check) if check else None
    if plan is not None and margin is not None:
        plan = plan.model_copy(update={"margin": margin})
    defaults = {} if margin is None else {"margin": margin}
    with show_progress() as tell:
        tell("reading the model", 0, 1)
        loaded, own_tile = open_model(model)
        options = calibration.CalibrationOptions(
            tile=tile or own_tile or (plan.tile if plan else DEFAULT_TILE),
            images=images,
            limit=limit,
            seed=seed,
            state=folder / "state",
            **defaults,
        )
        if plan is None:
            found = calibration.calibrate(loaded, options, tell)
        else:
            found = calibration.check(loaded, plan, options, tell)
        calibration.write_calibration(folder, found, plan=plan is None)
    seconds = time.perf_counter() - start
    if as_json:
        Output().json(_data(found, seconds))
    else:
        _print(Output(), found, folder, seconds)
    if not found.verdict.passed:
        from tinysr.errors import GateError

        raise GateError(f"the plan does not hold: {found.verdict.failure}")


def _data(found: Calibration, seconds: float) -> dict[str, Any]:
    tightest = min(found.ranges.modules, key=lambda module: module.headroom)
    return {
        "model": found.ranges.source.model_dump(),
        "tile": found.ranges.tile,
        "seed": found.ranges.seed,
        "images": [image.model_dump() for image in found.ranges.images],
        "plan": found.plan.model_dump(),
        "plan_sha256": found.plan.sha256,
        "modules": len(found.ranges.modules),
        "tightest": tightest.model_dump(),
        "verdict": {"passed": found.verdict.passed, **found.verdict.model_dump()},
        "seconds": round(seconds, 1),
    }


def _print(output: Output, found: Calibration, folder: Path, seconds: float) -> None:
    ranges, plan, evaluation = found.ranges, found.plan, found.verdict.evaluation
    tightest = min(ranges.modules, key=lambda module: module.headroom)
    output.line(
        style_text(ranges.source.name, "bold"),
        f": {len(ranges.ops)} values of {len(ranges.modules)} modules, measured on "
        f"{len(ranges.images)} images of {ranges.tile}×{ranges.tile}",
    )
    output.line(
        f"  largest: {tightest.absmax:.4g} at {tightest.op}, "
        f"{tightest.headroom:.1f} powers of two under fp16's largest"
    )
    for entry in plan.keep:
        output.line(f"  kept {entry.precision}: {entry.module}: {entry.reason}")
    if not plan.keep:
        output.line(f"  nothing is kept in fp32: all fits in fp16 with a margin of {plan.margin:g}")
    worst = evaluation.worst
    number = "not finite" if not worst.finite else f"{worst.psnr_db or float('inf'):.1f} dB"
    output.line(
        f"  in true fp16: {number} on the worst of {len(evaluation.scores)} images "
        f"({worst.image}), the gate is {evaluation.gate_db:g} dB"
    )
    output.line(f"  {seconds:.1f} s, peak memory {peak_memory()}; report: {folder}")
