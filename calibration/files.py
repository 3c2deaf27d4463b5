"""Files of a calibration's folder."""

from __future__ import annotations

from pathlib import Path

from tinysr.atomic import write_atomically
from tinysr.errors import CalibrationError
from tinysr.export.plans.files import plan_name
from tinysr.export.plans.precision import plan_text

from .calibrate import Calibration
from .report import draw_headroom_png, render_html

__all__ = ["PLAN", "PLOT", "RANGES", "REPORT", "write_calibration"]

PLAN = plan_name("fp16")
RANGES = "ranges.json"
REPORT = "report.html"
PLOT = "headroom.png"


def write_calibration(folder: Path, found: Calibration, *, plan: bool = True) -> None:
    """Write the ranges, the page with its plot and, unless it was given, the plan.

    Raises:
        CalibrationError: a file can't be written.
        MissingBackendError: matplotlib or jinja2 is not installed.
    """
    plot = draw_headroom_png(found)
    write_atomically(
        folder / RANGES, found.ranges.model_dump_json(indent=1) + "\n", CalibrationError
    )
    write_atomically(folder / PLOT, plot, CalibrationError)
    write_atomically(folder / REPORT, render_html(found, plot), CalibrationError)
    if plan:
        write_atomically(folder / PLAN, plan_text(found.plan), CalibrationError)
