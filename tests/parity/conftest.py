"""What the eager model computes of the whole suite."""

from __future__ import annotations

import pytest

from tests.support.fake_backend import CONFIG, TILE
from tinysr.models.families.tinysr.seeded import seed_model
from tinysr.parity import Reference, compute_references
from tinysr.suite import suite


@pytest.fixture(scope="module")
def references() -> tuple[Reference, ...]:
    return compute_references(seed_model(CONFIG), suite(TILE))
