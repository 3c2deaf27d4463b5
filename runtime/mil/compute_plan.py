"""Compute units that Core ML chooses for a package's operations: MLComputePlan, on a Mac."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tinysr.errors import BundleError, require

from .residency import Finding, Residency

__all__ = ["LABEL", "planned_residency"]

LABEL = "Core ML's own plan for this Mac"

_EXTRA = "coreml"
_ENGINE = "MLNeuralEngineComputeDevice"


def planned_residency(package: Path) -> list[Residency]:
    """Ask Core ML for each function's plan, with all compute units allowed.

    Raises:
        BundleError: Core ML can't compile the package.
    """
    ct = require("coremltools", extra=_EXTRA)
    plans = require("coremltools.models.compute_plan", extra=_EXTRA)
    units = ct.ComputeUnit.ALL
    with TemporaryDirectory() as folder:
        place = str(Path(folder) / f"{package.stem}.mlmodelc")
        try:
            compiled = ct.utils.compile_model(str(package), place)
            plan = plans.MLComputePlan.load_from_path(compiled, compute_units=units)
        except (RuntimeError, ValueError, OSError) as error:
            raise BundleError(f"{package}: Core ML can't plan it: {error}") from error
        functions = plan.model_structure.program.functions
        return [_planned(name, function, plan) for name, function in functions.items()]


def _planned(name: str, function: Any, plan: Any) -> Residency:
    count, leaving = 0, []
    for operation in function.block.operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is None:  # constants
            continue
        count += 1
        device = type(usage.preferred_compute_device).__name__
        if device != _ENGINE:
            output = operation.outputs[0].name if operation.outputs else ""
            leaving.append(
                Finding(
                    operation=output, kind=operation.operator_name, reason=f"planned on {device}"
                )
            )
    return Residency(function=name, operations=count, leaving=tuple(leaving), label=LABEL)
