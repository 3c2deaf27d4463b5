"""Crops that a small teacher enlarged, and a batch of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lessons import hear_nothing, lesson
from tests.support.recipes import small_config
from tinysr.training.engine import Batch
from tinysr.training.image_teachers import read_taught, teach
from tinysr.training.image_teachers.batches import TaughtBatches


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lessons") / "teach"
    assert teach(lesson(folder), said=hear_nothing)
    return folder


@pytest.fixture(scope="module")
def batch(taught: Path) -> Batch:
    batches = TaughtBatches(small_config(phases=[{"patch": 32, "batch": 2}]), read_taught(taught))
    return batches.finish(batches.load(0))
