"""The search: candidates inherit what they keep, the limit holds, and it goes on where it ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.tiny_stable_diffusion import tiny_config, tiny_stable_diffusion
from tinysr.errors import UnsupportedError
from tinysr.models.families.stable_diffusion import StableDiffusionSr, seed_stable_diffusion
from tinysr.progress import ignore_progress
from tinysr.training.architecture import SearchOptions, find_architecture, make_student
from tinysr.training.architecture.features import find_means
from tinysr.training.architecture.space import list_parts

pytest.importorskip("optuna")
pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = SearchOptions(limit="cost", epsilon=0.6, trials=14, tile=64, seed=3)


@pytest.fixture(scope="module")
def teacher() -> StableDiffusionSr:
    down = ((True, True), (True, True), (True,), (False,))
    up = ((True,) * 3, (True,) * 3, (True, False), (False, False))
    config = replace(tiny_config("toc-sr"), down=down, up=up, middle=1)
    return seed_stable_diffusion(config, 7)


def test_every_part_can_be_dropped_alone_and_all_at_once(teacher: StableDiffusionSr) -> None:
    parts = list_parts(teacher.config)
    assert {"down.0.1", "up.1.2", "pair.0", "pair.1", "middle"} <= set(parts)
    z = torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    means = find_means(teacher, z)
    for dropped in ([], *([part] for part in parts), list(parts)):
        found = make_student(teacher, dropped, means).unet(z)
        assert found.isfinite().all()
        assert torch.equal(found, teacher.unet(z)) == (not dropped)


@pytest.mark.parametrize(("trials", "first"), [(4, 3), pytest.param(14, 9, marks=pytest.mark.slow)])
def test_the_best_keeps_the_limit_and_a_search_goes_on(
    teacher: StableDiffusionSr, tmp_path: Path, trials: int, first: int
) -> None:
    def run(folder: str, trials: int = trials) -> tuple[object, StableDiffusionSr | None]:
        options = replace(OPTIONS, trials=trials)
        return find_architecture(teacher, "0" * 64, tmp_path / folder, options, ignore_progress)

    whole, student = run("whole")
    run("parts", first)
    again, _ = run("parts")
    assert again == whole
    best = whole.best  # type: ignore[attr-defined]
    assert best.cost <= 0.6
    kept = [t for t in whole.trials if t.cost <= 0.6]  # type: ignore[attr-defined]
    assert best.distance == min(trial.distance for trial in kept)
    assert student is not None
    with pytest.raises(UnsupportedError, match="the same model, seed, tile"):
        find_architecture(
            teacher, "0" * 64, tmp_path / "parts", replace(OPTIONS, seed=4), ignore_progress
        )


def test_other_models_and_damaged_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="expected a model around Stable Diffusion's UNet"):
        find_architecture(torch.nn.Identity(), "", tmp_path, OPTIONS, ignore_progress)  # type: ignore[arg-type]
    (tmp_path / "search.json").write_text("{")
    with pytest.raises(UnsupportedError, match="expected the record of a search"):
        find_architecture(tiny_stable_diffusion("toc-sr"), "", tmp_path, OPTIONS, ignore_progress)
