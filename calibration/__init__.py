"""Ranges, headroom and precision plans, measured once for every backend."""

from .bits.budget import LOST_DB, BudgetResult
from .bits.evaluate import Evaluation, ImageScore, Truth, compute_truths, evaluate, score
from .bits.finder import find_plan
from .bits.search import find_quantization, hold_to_budget
from .calibrate import Calibration, CalibrationOptions, PlanVerdict, calibrate, check
from .files import PLAN, PLOT, RANGES, REPORT, write_calibration
from .ranges.images import (
    SEED,
    CalibrationImage,
    DegradedPhoto,
    calibration_images,
    degrade_photos,
    image_sha256,
)
from .ranges.measure import measure_ranges
from .ranges.record import ModuleRange, OpRange, Ranges, load_ranges
from .ranges.state import MeasuredFolder
from .shipped import find_shipped_plan, read_shipped_plans
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
    "ImageScore",
    "MeasuredFolder",
    "ModuleRange",
    "Op",
    "OpRange",
    "PlanVerdict",
    "Ranges",
    "Trace",
    "Truth",
    "Walker",
    "calibrate",
    "calibration_images",
    "check",
    "compute_truths",
    "degrade_photos",
    "evaluate",
    "find_plan",
    "find_quantization",
    "find_shipped_plan",
    "hold_to_budget",
    "image_sha256",
    "load_ranges",
    "measure_ranges",
    "read_shipped_plans",
    "score",
    "trace",
    "write_calibration",
]
