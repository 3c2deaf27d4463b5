"""A plan's file → the plan, of whichever kind its precision makes it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from .options import Plan
from .precision import load_plan
from .quantization import QUANTIZED, load_quantization

__all__ = ["load_any_plan"]


def load_any_plan(path: Path) -> Plan:
    """Read a plan for fp16, int8, w8 or w4.

    Raises:
        CalibrationError: it can't be read, is no TOML, or does not fit.
    """
    return load_quantization(path) if _precision(path) in QUANTIZED else load_plan(path)


def _precision(path: Path) -> object:
    """Return what a file says its precision is; None when it says nothing or can't be read."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file).get("precision")
    except (OSError, ValueError):  # whoever reads it says why
        return None
