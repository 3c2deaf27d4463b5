"""Options of quick calibrations."""

from __future__ import annotations

from tests.support.tiny_models import TILE
from tinysr.calibration import CalibrationOptions
from tinysr.suite import suite

SUITE = len(suite(TILE))


def options(**changes: object) -> CalibrationOptions:
    settings: dict[str, object] = {"tile": TILE, "limit": SUITE}
    return CalibrationOptions(**(settings | changes))  # type: ignore[arg-type]
