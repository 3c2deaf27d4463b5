"""Plans and options of Core ML packages."""

from __future__ import annotations

from tests.support.tiny_models import TILE
from tinysr.export import ExportOptions
from tinysr.export.apple.coreml.options import CoreMLOptions
from tinysr.export.plans.precision import KeptModule, PrecisionPlan
from tinysr.models import Loaded


def plan_of(loaded: Loaded, *kept: str) -> PrecisionPlan:
    keep = tuple(KeptModule(module=name) for name in kept)
    return PrecisionPlan(model_sha256=loaded.source.sha256, tile=TILE, keep=keep)


def options(loaded: Loaded, precision: str = "fp16", system: str = "iOS17") -> ExportOptions:
    return ExportOptions(
        targets=("coreml",),
        precision=precision,
        plan=None if precision in ("fp32", "int8") else plan_of(loaded),
        tile=TILE,
        settings={"coreml": CoreMLOptions(deployment_target=system)},
    )
