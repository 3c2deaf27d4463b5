"""The small model, taken apart into operations."""

from __future__ import annotations

import pytest

from tests.support.tiny_models import TILE
from tinysr.calibration import Trace, trace
from tinysr.export import BakedTinySR


@pytest.fixture(scope="module")
def traced(baked: BakedTinySR) -> Trace:
    return trace(baked, TILE)
