"""A model → its quantization plan: ranges, equalisation, and the layers to keep.

1. Ranges (int8): every method's are tried on all layers at once, and the best are taken.
2. Equalisation (int8): taken for the stages that it helps.
3. Each layer's share of the error is measured alone, and the fewest layers are kept for the sum
   of the others to stay within the target, which is the precision's gate and some room.
4. The plan is held against the whole budget; while it fails, the target is raised.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import GateError
from tinysr.export import bake
from tinysr.export.model.equalise import equalise
from tinysr.export.model.integers import find_layers
from tinysr.export.plans.quantization import (
    KEPT_IN,
    Format,
    KeptLayer,
    KeptPrecision,
    PlanTarget,
    QuantizationPlan,
)
from tinysr.models import Loaded
from tinysr.parity import gate_db
from tinysr.progress import Progress
from tinysr.stages import StageName

from ..ranges.images import SEED
from ..schemes import SCHEMES
from .budget import BudgetResult, PlanJudge
from .examples import CROP, EXAMPLES, Ranges, find_ranges, make_examples
from .sensitivity import (
    Example,
    Shares,
    measure_shares,
    promote,
    worst_db,
)

__all__ = ["find_quantization", "hold_to_budget"]

ROOM_DB = 2.0
"""Margin of the first plan under the gate, in dB: errors of stages add up, and examples are few."""

_STEP_DB = 1.5
_MOST_TRIES = 12


Array = NDArray[np.float32]


def find_quantization(
    loaded: Loaded,
    precision: Format,
    *,
    tile: int,
    target: PlanTarget = "onnx",
    seed: int = SEED,
    state: Path | None = None,
    progress: Progress | None = None,
) -> tuple[QuantizationPlan, BudgetResult]:
    """Find the plan of a model for a precision, and what it makes of its budget.

    Args:
        loaded: the model.
        precision: what its layers are to be in.
        tile: side in low-resolution pixels.
        target: whose formats they are to be in.
        seed: of the degradations.
        state: a folder that keeps the sensitivities, so that an interrupted search goes on.
        progress: told what is being measured.

    Raises:
        CalibrationError: the state can't be written.
        GateError: no plan holds the budget.
    """
    tell = progress or (lambda *_: None)
    scheme = SCHEMES[target]
    baked = scheme.form(bake(loaded.model, tile))
    found = Ranges.empty() if precision != "int8" else find_ranges(baked, tile, seed, tell)
    model = equalise(baked, found.equalise)
    examples = make_examples(model, tile)
    own = find_layers(model)
    wanted = {path: scheme.ladder(layer, precision) for path, layer in own.items()}
    name = _cache_name(loaded.source.sha256, precision, tile, found, target)
    cache = state and state / name
    measured = measure_shares(
        model, found.values, wanted, examples, tell=tell, cache=cache, scheme=scheme
    )
    gate = gate_db(precision)
    budget = PlanJudge(baked, scheme, gate=gate, tile=tile, seed=seed, tell=tell)
    wanted_db = gate + ROOM_DB

    def cost(path: str, form: Format, larger: Format | None) -> float:
        return scheme.cost(own[path], form, larger)

    def make_plan(formats: Mapping[str, Format | None]) -> QuantizationPlan:
        return QuantizationPlan(
            model_sha256=loaded.source.sha256,
            tile=tile,
            precision=precision,
            target=target,
            method=found.method,
            keep=tuple(_list_kept(precision, formats, measured, examples, target)),
            ranges={p: found.values[p] for p, f in formats.items() if f == "int8"},
            equalise=tuple(e for e in found.equalise if formats[e.module] == "int8"),
        )

    stages = baked.chain.names
    for _ in range(_MOST_TRIES):
        plan = make_plan(
            {p: f for stage in stages for p, f in promote(measured, stage, wanted_db, cost).items()}
        )
        tell(f"holding the plan for {precision} against its budget", 0, 1)
        result = budget.run_plan(plan)
        if result.passed:
            return plan, result
        wanted_db += max(_STEP_DB, budget.gate - result.worst_db)
    raise GateError(f"no plan for {plan.name} holds: {result.said}")


def hold_to_budget(
    loaded: Loaded, plan: QuantizationPlan, *, seed: int = SEED, progress: Progress | None = None
) -> BudgetResult:
    """Say what a plan, perhaps edited by hand, makes of the suite and of degraded photos.

    Raises:
        CalibrationError: the plan is another model's, or names layers that this one lacks.
    """
    plan.for_model(loaded.source.sha256)
    scheme = SCHEMES[plan.target]
    baked = scheme.form(bake(loaded.model, plan.tile))
    tell = progress or (lambda *_: None)
    gate = gate_db(plan.precision)
    budget = PlanJudge(baked, scheme, gate=gate, tile=plan.tile, seed=seed, tell=tell)
    return budget.run_plan(plan)


def _cache_name(
    sha256: str, precision: Format, tile: int, ranges: Ranges, target: PlanTarget
) -> str:
    told = [e.model_dump() for e in ranges.equalise]
    key = json.dumps([sha256, tile, EXAMPLES, CROP, dict(ranges.values), told])
    return f"shares-{target}-{precision}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _list_kept(
    precision: Format,
    formats: Mapping[str, Format | None],
    measured: Shares,
    examples: Mapping[StageName, Sequence[Example]],
    target: PlanTarget,
) -> list[KeptLayer]:
    """Return the layers that are not in the plan's precision, most sensitive first, with why."""

    def smallest(path: str) -> Format:
        return next(iter(measured[path]), precision)

    kept = [path for path, form in formats.items() if form != precision]
    kept.sort(key=lambda path: -float(max(measured[path].get(smallest(path), (0,)))))
    entries = []
    for path in kept:
        form, tried = formats[path], smallest(path)
        if tried == form or not measured[path]:
            reason = f"{precision} would take as much"
        else:
            squares = measured[path][tried]
            image = next(iter(examples.values()))[int(squares.argmax())].image
            reason = f"{worst_db(squares):.1f} dB on '{image}' when it alone is in {tried}"
        entries.append(
            KeptLayer(module=path, precision=_choose_kept(form, precision, target), reason=reason)
        )
    return entries


def _choose_kept(form: Format | None, precision: Format, target: PlanTarget) -> KeptPrecision:
    """Return what stands in a plan for a layer's format; the first choice is for none."""
    choices = KEPT_IN[target][precision]
    return next((choice for choice in choices if choice == form), choices[0])
