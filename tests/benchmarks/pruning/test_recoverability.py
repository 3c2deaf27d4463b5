"""The table of recoverability: one command, all methods, equal tuning, both tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.recipes import SHAPE
from tinysr.benchmarks.pruning import recoverability
from tinysr.benchmarks.pruning.recoverability_report import Results, markdown_lines
from tinysr.benchmarks.pruning.recovery import CONFIG, RecoveryConfig
from tinysr.errors import UnsupportedError
from tinysr.models.families.tinysr import save_single_file
from tinysr.models.families.tinysr.seeded import seed_model
from tinysr.training.pruning import METHODS, SearchSpace
from tinysr.training.stages.prune import PruneOptions
from tinysr.training.stages.shapes import ModelShape

PLAN = """
[search]
stage = "prune"
optim = { steps = 3, learning_rate = 1e-3, final_rate = 1e-3, ema = 0.0 }
phases = [{ patch = 32, batch = 2 }]
data = { image_side = 64, pool = 2 }
options = { block = 2, keep = 1, anneal = 3, rank = 2, image = { l1 = 1.0 } }
[tune]
stage = "restore"
optim = { steps = 20, learning_rate = 1e-3, final_rate = 1e-3, ema = 0.0 }
phases = [{ patch = 32, batch = 2 }]
data = { image_side = 64, pool = 2 }
options = { latents = 1.0 }
"""
METHODS_TRIED = ("uniform", "shortgpt", "sensitivity", "tinyfusion", "tinysr")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the command once for a teacher of four layers."""
    root = tmp_path_factory.mktemp("recoverability")
    config = ModelShape.model_validate(SHAPE | {"depth": 4}).config()
    save_single_file(seed_model(config, 3), root / "teacher.safetensors")
    small = ModelShape.model_validate(SHAPE | {"depth": 2, "width": 28}).config()
    save_single_file(seed_model(small, 4), root / "student.safetensors")
    (root / "plan.toml").write_text(PLAN)
    words = [
        "--config",
        str(root / "plan.toml"),
        "--photos",
        "camera",
        "--side",
        "16",
        "--tile",
        "16",
    ]
    code = recoverability.main(
        [str(root / "teacher.safetensors"), "-o", str(root / "out"), *words,
         "--student", str(root / "student.safetensors"), "--methods", *METHODS_TRIED]
    )  # fmt: skip
    assert code == 0
    return root / "out"


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    record = json.loads((folder / "recoverability.json").read_text())
    return Results.model_validate(record["figures"])


def test_every_method_is_measured_before_and_after_equal_tuning(results: Results) -> None:
    assert tuple(row.method for row in results.rows) == METHODS_TRIED
    for row in results.rows:
        assert len(row.kept) == row.mask.count("1") == 2
        assert row.before.loss is not None
        assert row.after.loss is not None
        assert row.after.distillation < row.before.distillation
    by_mask = {row.mask: row.after for row in results.rows}
    assert all(row.after == by_mask[row.mask] for row in results.rows)
    assert next(row.mask for row in results.rows if row.method == "uniform") == "1001"


def test_the_teacher_sets_what_others_are_held_against(results: Results) -> None:
    own = results.teacher_quality
    assert (own.distillation, own.loss, own.teacher_psnr) == (0, None, None)
    assert results.space == SearchSpace(layers=4, block=2, keep=1).summary()


def test_a_pruned_model_costs_less(results: Results) -> None:
    teacher, pruned = results.costs["teacher"], results.costs["tinysr"]
    assert (teacher.layers, pruned.layers) == (4, 2)
    assert pruned.parameters < teacher.parameters
    assert pruned.macs < teacher.macs
    assert pruned.latency.count >= 3
    assert all(results.costs[m].parameters == pruned.parameters for m in METHODS_TRIED)


def test_what_the_whole_recipe_made_stands_beside_its_teacher(results: Results) -> None:
    student = results.student
    assert student is not None
    assert student.name == "student.safetensors"
    assert student.costs.layers == 2
    assert student.fidelity.teacher_psnr is not None
    assert markdown_lines(results)[-1].startswith("| `student.safetensors`, 2 layers |")


def test_both_tables_are_written(folder: Path, results: Results) -> None:
    text = (folder / "recoverability.md").read_text(encoding="utf-8")
    assert "\n".join(markdown_lines(results)) in text
    for row in results.rows:
        assert f"| {row.method} | `{row.mask}` |" in text
    assert "| teacher, 4 layers |" in text
    assert "| pruned (tinysr), 2 layers |" in text


def test_the_packaged_plan_fits_the_nano_teacher() -> None:
    plan = RecoveryConfig.read(CONFIG)
    options = PruneOptions.model_validate(plan.search.options)
    space = SearchSpace(layers=12, block=options.block, keep=options.keep, pairing=options.pairing)
    assert space.kept == 6
    assert options.anneal == plan.search.optim.steps


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "magic"], "unknown method 'magic'"),
        (["--photos", "cat"], "unknown photo 'cat'"),
        (["--side", "17"], "divides by 4, found 17"),
        (["--config", "missing.toml"], "not a pruning plan"),
        (["--rules", "slow"], "unknown preset of rules"),
    ],
)
def test_what_can_not_be_measured_is_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = recoverability.main(["tinysr-nano", "-o", str(tmp_path / "out"), *words])
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_plan_has_two_tables(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("[search]\nstage = 'prune'\n")
    with pytest.raises(UnsupportedError, match=r"\[search\] and \[tune\] alone"):
        RecoveryConfig.read(tmp_path / "plan.toml")
    assert tuple(METHODS)[-1] == "tinysr"
