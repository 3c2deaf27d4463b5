"""Ranges, headroom and precision plans, measured once for every backend."""

from .bits.budget import LOST_DB, BudgetResult
from .bits.evaluate import Evaluation, Score, Truth, evaluate, score, truths
from .bits.finder import find_plan
from .bits.search import find_quantization, held_to_budget
from .calibrate import Calibration, CalibrationOptions, Verdict, calibrate, check
from .files import PLAN, PLOT, RANGES, REPORT, write_calibration
from .ranges.images import (
    SEED,
    CalibrationImage,
    DegradedPhoto,
    calibration_images,
    degraded_photos,
    image_sha256,
)
from .ranges.measure import measure_ranges
from .ranges.record import ModuleRange, OpRange, Ranges, load_ranges
from .ranges.state import State
from .shipped import shipped_plan, shipped_plans
from .traced.half import FP16_MAX, HalfWalker
from .traced.trace import Op, Trace, trace
from .traced.walk import Walker

__all__ = [
    "FP16_MAX",
    "LOST_DB",
    "PLAN",
    "PLOT",
    "RANGES",
    "REPORT",
    "SEED",
    "BudgetResult",
    "Calibration",
    "CalibrationImage",
    "CalibrationOptions",
    "DegradedPhoto",
    "Evaluation",
    "HalfWalker",
    "ModuleRange",
    "Op",
    "OpRange",
    "Ranges",
    "Score",
    "State",
    "Trace",
    "Truth",
    "Verdict",
    "Walker",
    "calibrate",
    "calibration_images",
    "check",
    "degraded_photos",
    "evaluate",
    "find_plan",
    "find_quantization",
    "held_to_budget",
    "image_sha256",
    "load_ranges",
    "measure_ranges",
    "score",
    "shipped_plan",
    "shipped_plans",
    "trace",
    "truths",
    "write_calibration",
]
