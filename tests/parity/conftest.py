"""What the eager model computes of the whole suite."""

from __future__ import annotations

import pytest

from tests.support.fake_backend import CONFIG, TILE
from tinysr.models.seeded import seeded
from tinysr.parity import Reference, eager_reference
from tinysr.suite import suite


@pytest.fixture(scope="module")
def references() -> tuple[Reference, ...]:
    return eager_reference(seeded(CONFIG), suite(TILE))
