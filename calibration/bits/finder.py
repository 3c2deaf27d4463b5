"""The smallest set of modules to keep in fp32, with a reason for each.

The margin decides first, and leaves no choice: a module whose own values, or the values it reads,
times the margin, pass fp16's largest must be kept, and no other must. Values that are read count
because a module casts them to its type. Then the gate: while an image of the suite is below it in
true fp16, the module whose keeping helps most is kept as well; what turns out not to be needed
for the gate is let go again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from torch import nn

from tinysr.errors import CalibrationError
from tinysr.export.model.typed import find_units
from tinysr.export.plans.precision import KeptModule, PrecisionPlan
from tinysr.parity import gate_db
from tinysr.progress import Progress

from ..ranges.record import ModuleRange, Ranges
from ..traced.half import FP16_MAX
from ..traced.trace import Trace
from .evaluate import Evaluation, ImageScore, Truth, evaluate, score

__all__ = ["PRECISION", "find_large_weights", "find_plan", "find_too_large", "group_paths"]

PRECISION = "fp16"


def find_too_large(ranges: Ranges, margin: float) -> list[ModuleRange]:
    """Return the modules that fp16 has not the margin for, in the model's order."""
    return [module for module in ranges.modules if module.absmax * margin > FP16_MAX]


def find_plan(
    model: nn.Module,
    trace: Trace,
    ranges: Ranges,
    expected: Sequence[Truth],
    *,
    margin: float,
    progress: Progress | None = None,
) -> tuple[PrecisionPlan, Evaluation]:
    """Find the plan of a model, and what it makes of the suite.

    Args:
        model: the baked model, for its weights.
        trace: of the model.
        ranges: measured on it.
        expected: the suite in fp32.
        margin: how many times larger than measured a value may become.
        progress: told about every image.

    Raises:
        CalibrationError: not even fp32 throughout passes the gate.
    """
    reasons = find_large_weights(model) | {
        m.module: _describe(m) for m in find_too_large(ranges, margin)
    }
    suite = _Suite(trace, expected, progress)
    added: dict[str, str] = {}
    while not (evaluation := suite.evaluate({**reasons, **added})).passed:
        added |= _find_most_helpful(suite, {**reasons, **added}, evaluation.worst)
    if added:
        added, evaluation = _drop_unneeded(suite, reasons, added, evaluation)
    kept = reasons | added
    plan = PrecisionPlan(
        model_sha256=ranges.source.sha256,
        tile=ranges.tile,
        margin=margin,
        keep=tuple(KeptModule(module=u, reason=kept[u]) for u in trace.units if u in kept),
    )
    return plan, evaluation


class _Suite:
    """The suite, ready to be run under one choice of modules after the other."""

    def __init__(self, trace: Trace, expected: Sequence[Truth], progress: Progress | None) -> None:
        self.units = trace.units
        self.gate = gate_db(PRECISION)
        self._trace, self._progress = trace, progress
        self._expected = {truth.image.name: truth for truth in expected}

    def evaluate(self, wide: Collection[str]) -> Evaluation:
        """Run every image."""
        truths = tuple(self._expected.values())
        return evaluate(self._trace, wide, truths, self.gate, self._progress)

    def score(self, wide: Collection[str], image: str, what: str) -> ImageScore:
        """Run one image, to see ``what`` helps it."""
        if self._progress:
            self._progress(f"keeping {what} in fp32", 0, 1)
        return score(self._trace, wide, self._expected[image], self.gate)


def group_paths(paths: Iterable[str], parent: str) -> dict[str, list[str]]:
    """Return paths below a parent by the next part of their names; a path of its own is alone."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        rest = path.removeprefix(f"{parent}.") if parent else path
        own = path == parent
        name = path if own else f"{parent}.{rest.split('.')[0]}".lstrip(".")
        groups.setdefault(f"{name} itself" if own else name, []).append(path)
    return groups


def _find_most_helpful(suite: _Suite, kept: Collection[str], worst: ImageScore) -> dict[str, str]:
    """Return the module whose keeping helps an image most, and the reason to keep it.

    Found by going down the tree of modules, into the part that helps most when all of it is kept.
    """
    wide = set(kept)
    left = [unit for unit in suite.units if unit not in wide]
    if not left:
        raise CalibrationError(
            f"'{worst.image}' has {_db(worst)} with every module in fp32: expected at least "
            f"{suite.gate:g} dB; the model can't be run twice with the same result"
        )
    parent = ""
    while len(left) > 1:
        groups = group_paths(left, parent)
        if len(groups) > 1:
            helps = {
                name: suite.score({*wide, *members}, worst.image, name)
                for name, members in groups.items()
            }
            parent = max(helps, key=lambda name: helps[name].rank)
        else:
            (parent,) = groups
        left = groups[parent]
    after = suite.score({*wide, *left}, worst.image, left[0])
    return {
        left[0]: f"for the gate of {suite.gate:g} dB: '{worst.image}' has {_db(worst)} without "
        f"it, {_db(after)} with it"
    }


def _drop_unneeded(
    suite: _Suite, reasons: dict[str, str], added: dict[str, str], evaluation: Evaluation
) -> tuple[dict[str, str], Evaluation]:
    """Let go, one by one, of what was kept for the gate and is not needed for it.

    Rounding errors can cancel, so that a module may become needless once another has gone: all are
    tried again until none of them can go.
    """
    before: dict[str, str] = {}
    while before != added:
        before = added
        for unit in before:
            fewer = {u: why for u, why in added.items() if u != unit}
            found = suite.evaluate({**reasons, **fewer})
            if found.passed:
                added, evaluation = fewer, found
    return added, evaluation


def find_large_weights(model: nn.Module) -> dict[str, str]:
    """Return the modules with weights that fp16 can't hold, and what they reach."""
    reasons = {}
    for path, module in find_units(model).items():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            largest = float(tensor.detach().abs().max())
            if largest > FP16_MAX:
                reasons[path] = f"absmax {_number(largest)} in the weights `{path}.{name}`"
    return reasons


def _describe(module: ModuleRange) -> str:
    reads = "reads " if module.read else ""
    return f"{reads}absmax {_number(module.absmax)} at `{module.op}` on '{module.image}'"


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.3g}"


def _db(found: ImageScore) -> str:
    if not found.finite:
        return "NaN or infinity"
    return "no error" if found.psnr_db is None else f"{found.psnr_db:.1f} dB"
