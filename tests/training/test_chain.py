"""A recipe's stages in a row: what runs, what is skipped, and which inputs are taken."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.recipes import SHAPE, small_config
from tests.support.training import QUIET, SMALL_VAE
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models import load
from tinysr.training import RECIPES, RecipeRun, StageRun, config_path, read_config, run_chain
from tinysr.training.provenance import PackagedRecipe, find_packaged_recipe, trace_provenance
from tinysr.training.runner import PRODUCT, RECORD, run_stage

pytestmark = pytest.mark.usefixtures("one_core")


TINY = (
    "optim.steps=1",
    "optim.warmup=0",
    "phases=[{patch = 32, batch = 1}]",
    "data.image_side=64",
    "data.pool=1",
    f"teacher/options.model={json.dumps(SHAPE | {'depth': 4}).replace(':', ' =')}",
    f"vae-encoder/options.model={json.dumps(SMALL_VAE).replace(':', ' =')}",
    "prune/options.rank=2",
)


def chain(folder: Path, *changes: str, **fields: Any) -> RecipeRun:
    values = [change.replace('" =', '" = ') for change in (*TINY, *changes)]
    return RecipeRun(recipe="nano", folder=folder, changes=values, **fields)


def test_a_recipe_runs_all_its_stages_and_skips_what_is_finished(tmp_path: Path) -> None:
    said: list[str] = []
    last = run_chain(chain(tmp_path), session=QUIET, said=said.append)
    assert last == tmp_path / RECIPES["nano"][-1]
    assert said == [f"{stage}: starts" for stage in RECIPES["nano"]]
    model = load(last / PRODUCT)
    assert model.config.vae.width == 26
    assert model.config.transformer.depth == 2
    made = trace_provenance(last)
    assert [made[0].name, made[-1].name] == ["teacher", RECIPES["nano"][-1]]
    assert {run.name for run in made} == set(RECIPES["nano"])
    assert find_packaged_recipe(made) is None  # one step each
    as_packaged = [
        dataclasses.replace(run, config=read_config(config_path(f"nano/{run.name}")))
        for run in made
    ]
    assert find_packaged_recipe(as_packaged) == PackagedRecipe(name="nano", whole=True)
    assert find_packaged_recipe(as_packaged[1:]) == PackagedRecipe(name="nano", whole=False)
    assert find_packaged_recipe([]) is None
    said.clear()
    run_chain(chain(tmp_path), session=QUIET, said=said.append)
    assert said == [f"{stage}: finished before" for stage in RECIPES["nano"]]
    (last / PRODUCT).unlink()
    run_chain(chain(tmp_path), session=QUIET, said=said.append)
    assert said[-1] == f"{last.name}: goes on"
    with pytest.raises(CheckpointError, match="finished with another config"):
        run_chain(chain(tmp_path, "vae-decoder/optim.steps=2"), session=QUIET)


def test_a_teacher_of_the_users_takes_the_first_stages_place(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    changes = [change for change in TINY if not change.startswith("teacher/")]
    given = {"teacher": inputs["teacher"]}
    jobs = RecipeRun(recipe="nano", folder=tmp_path, changes=changes, inputs=given).jobs()
    assert "teacher" not in jobs
    assert jobs["restore-1"].inputs["teacher"] == inputs["teacher"]
    assert jobs["restore-1"].inputs["student"] == tmp_path / "prune" / PRODUCT


def test_any_stage_may_be_given(tmp_path: Path, inputs: dict[str, Path]) -> None:
    changes = [change for change in TINY if not change.startswith("prune/")]
    given = {"prune": inputs["student"]}
    jobs = RecipeRun(recipe="nano", folder=tmp_path, changes=changes, inputs=given).jobs()
    assert "prune" not in jobs
    assert jobs["restore-1"].inputs["student"] == inputs["student"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"student": "here"}, "--input student: no stage of 'nano' with this config takes it"),
        ({"features": "here"}, "--input features: no stage of 'nano' with this config takes it"),
        ({"teacher": "nowhere"}, "--input teacher: expected a preset or a checkpoint, found"),
    ],
)
def test_a_recipes_inputs_are_all_known_and_there(
    tmp_path: Path, given: dict[str, str], message: str
) -> None:
    (tmp_path / "here").touch()
    paths = {role: tmp_path / name for role, name in given.items()}
    with pytest.raises(UnsupportedError, match=message):
        run_chain(RecipeRun(recipe="nano", folder=tmp_path / "run", inputs=paths))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("role", ["student", "features"])
def test_a_stages_inputs_are_its_own(role: str, tmp_path: Path) -> None:
    job = StageRun(config=small_config(), folder=tmp_path / "run", inputs={role: tmp_path})
    with pytest.raises(UnsupportedError, match=f"'teacher' takes no input '{role}', only: none"):
        run_stage(job, session=QUIET)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        ("nano", ["dream/optim.steps=1"], "unknown stage 'dream'|expected a key"),
        ("tinysr", [], "no stage 'teacher': give its checkpoint with --input teacher"),
        ("huge", [], "unknown recipe 'huge'"),
    ],
)
def test_a_recipe_that_can_not_run_is_refused_before_it_starts(
    tmp_path: Path, recipe: str, changes: list[str], message: str
) -> None:
    with pytest.raises(UnsupportedError, match=message):
        run_chain(RecipeRun(recipe=recipe, folder=tmp_path / "run", changes=changes))
    assert not (tmp_path / "run").exists()


def test_an_input_may_be_a_preset(tmp_path: Path) -> None:
    config = small_config(stage="restore", options={"image": {"l2": 1.0}}, optim__steps=1)
    for folder in ("a", "b"):
        job = StageRun(
            config=config, folder=tmp_path / folder, inputs={"student": Path("tinysr-nano")}
        )
        run_stage(job, session=QUIET)
    first, second = (json.loads((tmp_path / f / RECORD).read_text())["inputs"] for f in "ab")
    assert first == second
    assert len(first["student"]) == 64
    with pytest.raises(UnsupportedError, match="nothing was found at that path"):
        run_stage(dataclasses.replace(job, inputs={"student": Path("none.safetensors")}))
