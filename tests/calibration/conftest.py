"""The small model, taken apart into operations."""

from __future__ import annotations

import pytest

from tests.support.tiny_models import TILE
from tests.support.tracing import TakenApart
from tinysr.calibration import Trace
from tinysr.export import BakedTinySR


@pytest.fixture(scope="module")
def traced(baked: BakedTinySR, taken_apart: TakenApart) -> Trace:
    return taken_apart(baked, TILE)
