"""Ranges, headroom and precision plans, measured once for every backend."""

from .budget import LOST_DB, BudgetResult
from .calibrate import Calibration, CalibrationOptions, Verdict, calibrate, check
from .evaluate import Evaluation, Score, Truth, evaluate, score, truths
from .files import PLAN, PLOT, RANGES, REPORT, write_calibration
from .finder import find_plan
from .half import FP16_MAX, HalfWalker
from .images import (
    SEED,
    CalibrationImage,
    DegradedPhoto,
    calibration_images,
    degraded_photos,
    image_sha256,
)
from .measure import measure_ranges
from .quantization import find_quantization, held_to_budget
from .ranges import ModuleRange, OpRange, Ranges, load_ranges
from .shipped import shipped_plan, shipped_plans
from .state import State
from .trace import Op, Trace, trace
from .walk import Walker

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
