"""A model → its ranges and its plan; a plan → whether it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinysr.errors import CalibrationError
from tinysr.export import bake
from tinysr.export.model.typed import find_units
from tinysr.export.plans.precision import DEFAULT_MARGIN, PrecisionPlan, check_margin
from tinysr.models import Loaded
from tinysr.parity import gate_db
from tinysr.progress import Progress
from tinysr.records import StrictRecord

from .bits.evaluate import Evaluation, compute_truths, evaluate
from .bits.finder import PRECISION, find_large_weights, find_plan, find_too_large
from .ranges.images import SEED, CalibrationImage, calibration_images
from .ranges.measure import Measurement, measure_ranges
from .ranges.record import ModuleRange, Ranges
from .ranges.state import MeasuredFolder
from .traced.trace import Trace, trace

__all__ = ["Calibration", "CalibrationOptions", "PlanVerdict", "calibrate", "check"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationOptions:
    """What to measure on, and how much room to leave."""

    tile: int
    margin: float = DEFAULT_MARGIN
    images: Path | None = None
    """A folder in place of the degraded photos."""
    limit: int | None = None
    seed: int = SEED
    state: Path | None = None
    """A folder that keeps what was measured, so that an interrupted calibration goes on."""

    def __post_init__(self) -> None:
        try:
            check_margin(self.margin)
        except ValueError as error:
            raise CalibrationError(str(error)) from error


class PlanVerdict(StrictRecord):
    """Whether a plan holds."""

    margin: float
    short: tuple[ModuleRange, ...]
    """Modules in fp16 for which the margin does not hold."""
    weights: tuple[str, ...]
    """Values that weights reach that are stored in fp16 and don't fit."""
    evaluation: Evaluation

    @property
    def passed(self) -> bool:
        """The margin holds everywhere, and every image reaches the gate."""
        return not self.short and not self.weights and self.evaluation.passed

    @property
    def failure(self) -> str:
        """What is wrong, in one line."""
        parts = [f"'{m.module}' reaches {m.absmax:g} at `{m.op}`" for m in self.short[:1]]
        parts = (
            [f"expected a margin of {self.margin:g}: {parts[0]}{_count_more(self.short)}"]
            if parts
            else []
        )
        parts += [f"{self.weights[0]}{_count_more(self.weights)}"] if self.weights else []
        if not self.evaluation.passed:
            worst = self.evaluation.worst
            found = f"{worst.psnr_db:.1f} dB" if worst.finite else "NaN or infinity"
            parts.append(
                f"expected {self.evaluation.gate_db:g} dB on every image, found {found} on "
                f"'{worst.image}'"
            )
        return "; ".join(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What a calibration found."""

    ranges: Ranges
    plan: PrecisionPlan
    verdict: PlanVerdict


def calibrate(
    loaded: Loaded, options: CalibrationOptions, progress: Progress | None = None
) -> Calibration:
    """Measure a model's ranges and find its smallest plan.

    Raises:
        ImageError: the folder holds no image that can be read.
        CalibrationError: the state is another model's, or an option makes no sense.
        CheckpointError: the model gives NaN or infinity in fp32.
    """
    model = _Subject(loaded, options)
    measured = model.measure(progress)
    ranges = measured.ranges
    plan, evaluation = find_plan(
        model.baked,
        model.trace,
        ranges,
        compute_truths(model.trace, options.tile, progress, measured.upscaled),
        margin=options.margin,
        progress=progress,
    )
    verdict = _verdict(model, ranges, plan, evaluation)
    return Calibration(ranges=ranges, plan=plan, verdict=verdict)


def check(
    loaded: Loaded,
    plan: PrecisionPlan,
    options: CalibrationOptions,
    progress: Progress | None = None,
) -> Calibration:
    """Say whether a plan, perhaps edited by hand, holds: its own margin, and the gate.

    Raises:
        CalibrationError: as :func:`calibrate`, or the plan is of another model or tile, or names
            modules that the model does not have.
    """
    plan.for_model(loaded.source.sha256)
    if plan.tile != options.tile:
        raise CalibrationError(
            f"the plan was found on tiles of {plan.tile}: expected --tile {plan.tile}, found "
            f"{options.tile}"
        )
    model = _Subject(loaded, options)
    wide = plan.list_wide(model.trace.units)
    measured = model.measure(progress)
    evaluation = evaluate(
        model.trace,
        wide,
        compute_truths(model.trace, options.tile, progress, measured.upscaled),
        gate_db(PRECISION),
        progress,
    )
    verdict = _verdict(model, measured.ranges, plan, evaluation)
    return Calibration(ranges=measured.ranges, plan=plan, verdict=verdict)


class _Subject:
    """The model that is measured, taken apart."""

    def __init__(self, loaded: Loaded, options: CalibrationOptions) -> None:
        self._options, self._source = options, loaded.source
        self._images: Sequence[CalibrationImage] = calibration_images(
            options.tile, folder=options.images, seed=options.seed, limit=options.limit
        )
        self.baked = bake(loaded.model, options.tile)
        self.trace: Trace = trace(self.baked, options.tile)

    def measure(self, progress: Progress | None) -> Measurement:
        options = self._options
        state = None
        if options.state is not None:
            state = MeasuredFolder(
                options.state,
                self.trace.ops,
                model_sha256=self._source.sha256,
                tile=options.tile,
            )
        return measure_ranges(
            self.trace,
            self._images,
            source=self._source,
            tile=options.tile,
            seed=options.seed,
            state=state,
            progress=progress,
        )


def _verdict(
    model: _Subject, ranges: Ranges, plan: PrecisionPlan, evaluation: Evaluation
) -> PlanVerdict:
    wide = plan.list_wide(find_units(model.baked))
    short = [module for module in find_too_large(ranges, plan.margin) if module.module not in wide]
    large = [text for path, text in find_large_weights(model.baked).items() if path not in wide]
    return PlanVerdict(
        margin=plan.margin, short=tuple(short), weights=tuple(large), evaluation=evaluation
    )


def _count_more(found: Sequence[object]) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""
