"""What a calibration leaves in its folder."""

from __future__ import annotations

from pathlib import Path

from tinysr.export.precision import plan_text

from .calibrate import Calibration
from .report import html_text, plot_png
from .state import write_atomically

__all__ = ["PLAN", "PLOT", "RANGES", "REPORT", "write_calibration"]

PLAN = "plan.toml"
RANGES = "ranges.json"
REPORT = "report.html"
PLOT = "headroom.png"


def write_calibration(folder: Path, found: Calibration, *, plan: bool = True) -> None:
    """Write the ranges, the page with its plot and, unless it was given, the plan.

    Raises:
        CalibrationError: a file can't be written.
        MissingBackendError: matplotlib or jinja2 is not installed.
    """
    plot = plot_png(found)
    write_atomically(folder / RANGES, found.ranges.model_dump_json(indent=1).encode() + b"\n")
    write_atomically(folder / PLOT, plot)
    write_atomically(folder / REPORT, html_text(found, plot).encode())
    if plan:
        write_atomically(folder / PLAN, plan_text(found.plan).encode())
