"""Plans of whichever kind: their files' names, and what is in them."""

from __future__ import annotations

import tomllib
from pathlib import Path

from .precision import PrecisionPlan, load_plan, plan_text
from .quantization import FORMATS, QuantizationPlan, load_quantization, quantization_text

__all__ = ["Plan", "format_any_plan", "load_any_plan", "plan_name"]

Plan = PrecisionPlan | QuantizationPlan
"""Plan of either kind."""


def load_any_plan(path: Path) -> Plan:
    """Read a plan for fp16, or for a quantized precision.

    Raises:
        CalibrationError: it can't be read, is no TOML, or does not fit.
    """
    return load_quantization(path) if _precision(path) in FORMATS else load_plan(path)


def format_any_plan(plan: Plan) -> str:
    """Return a plan as TOML; the same plan gives the same text."""
    return plan_text(plan) if isinstance(plan, PrecisionPlan) else quantization_text(plan)


def plan_name(name: str) -> str:
    """Return the file of the plan of a name, in the folder of a calibration and in a bundle's."""
    return "plan.toml" if name == "fp16" else f"{name}.toml"


def _precision(path: Path) -> object:
    """Return what a file says its precision is; None when it says nothing or can't be read."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file).get("precision")
    except (OSError, ValueError):  # whoever reads it says why
        return None
