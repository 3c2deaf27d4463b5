"""The plans of presets that come with this version: found once, so that nobody has to wait."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from tinysr.export.options import Plan
from tinysr.export.plans.files import load_any_plan

__all__ = ["find_shipped_plan", "read_shipped_plans"]


def read_shipped_plans() -> dict[str, Plan]:
    """Return all of them, by ``preset/file``; `make plans` writes them anew."""
    found: dict[str, Plan] = {}
    for preset in sorted(_folder().iterdir()):
        for path in sorted(preset.glob("*.toml")):
            found[f"{preset.name}/{path.name}"] = load_any_plan(path)
    return found


def find_shipped_plan(model_sha256: str, name: str, tile: int) -> Plan | None:
    """Return the plan of a model; None when it was not found before.

    Args:
        model_sha256: of the checkpoint, so that the plan of other weights is never taken.
        name: fp16, int8, w8 or w4; or coreml-w8, coreml-w6 or coreml-w4.
        tile: side in low-resolution pixels.
    """
    for plan in read_shipped_plans().values():
        if (plan.model_sha256, plan.name, plan.tile) == (model_sha256, name, tile):
            return plan
    return None


def _folder() -> Path:
    with resources.as_file(resources.files("tinysr.calibration") / "plans") as folder:
        return folder
