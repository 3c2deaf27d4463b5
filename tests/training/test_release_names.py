"""A run is released under its own recipe's name: two presets have the same layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.recipes import small_config
from tests.support.training import QUIET
from tinysr.errors import CheckpointError
from tinysr.models import load
from tinysr.models.families.tinysr import save_single_file
from tinysr.training import Release, StageRun, config_path, read_config, run_stage, write_release
from tinysr.training.runner import PRODUCT, RECORD


@pytest.mark.parametrize(
    ("stage", "preset", "own"),
    [
        ("natural/faint", "tinysr-nano-faithful", "tinysr-nano"),
        ("nano/restore-4", "tinysr-nano", "tinysr-nano-faithful"),
    ],
)
def test_a_run_of_another_recipe_is_refused_before_it_is_measured(
    stage: str, preset: str, own: str, tmp_path: Path
) -> None:
    run = tmp_path / stage.partition("/")[2]
    run_stage(StageRun(config=small_config(optim__steps=1), folder=run), session=QUIET)
    save_single_file(load("tinysr-nano"), run / PRODUCT)
    record = json.loads((run / RECORD).read_text())
    record["config"] = read_config(config_path(stage)).model_dump(mode="json")
    (run / RECORD).write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=f"which is released as {own}: expected"):
        write_release(Release(run=run, preset=preset), tmp_path / "out")
    assert not (tmp_path / "out").exists()
