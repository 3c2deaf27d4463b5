"""The packaged recipes: configs that their stages take, with the paper's figures."""

from __future__ import annotations

import pytest

from tinysr.errors import UnsupportedError
from tinysr.models import PRESETS
from tinysr.training import RECIPES, config_path, read_config
from tinysr.training.image_teachers.config import TEACH
from tinysr.training.recipes import RELEASES, find_release
from tinysr.training.stages import STAGES

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.mark.parametrize(
    "name",
    [f"{recipe}/{s}" for recipe in RECIPES for s in RECIPES[recipe] if s != TEACH],
)
def test_every_packaged_config_is_one_of_a_stage(name: str) -> None:
    config = read_config(config_path(name))
    STAGES[config.stage].options.model_validate(config.options)


_PIXELS = ("restore-3", "restore-4", "transformer", "pixels", "keep", "faint")


def test_every_recipe_is_released_as_a_preset_of_its_own() -> None:
    assert set(RELEASES) == set(RECIPES)
    assert sorted(RELEASES.values()) == sorted(PRESETS)
    with pytest.raises(UnsupportedError, match="unknown recipe 'dream'"):
        find_release("dream")


@pytest.mark.parametrize("recipe", RECIPES)
def test_stages_that_train_the_same_parts_see_other_images(recipe: str) -> None:
    names = [stage for stage in RECIPES[recipe] if stage != TEACH]
    seeds = [read_config(config_path(f"{recipe}/{stage}")).seed for stage in names]
    pixels = [s for n, s in zip(names, seeds, strict=True) if n in _PIXELS]
    assert all(seeds.count(seed) == 1 for seed in pixels)


def test_the_paper_sized_configs_hold_the_papers_figures() -> None:
    rows = {}
    for stage in ("vae-encoder", "vae-decoder", "restore-1", "restore-2"):
        config = read_config(config_path(f"tinysr/{stage}"))
        rows[stage] = (config.optim.steps, config.phases[0].batch, config.optim.learning_rate)
        assert config.data.degradation == "real-esrgan"
        assert config.phases[0].patch == 512
    assert rows == {
        "vae-encoder": (100_000, 64, 3e-4),
        "vae-decoder": (200_000, 64, 5e-4),
        "restore-1": (150_000, 128, 1e-4),
        "restore-2": (50_000, 96, 1e-6),
    }
    last = read_config(config_path("tinysr/restore-2")).options
    assert last["image"] == {"l2": 5.0, "perceptual": 1.0, "gan": 0.3, "critic_width": 64}
    assert last["lora_rank"] == 64
