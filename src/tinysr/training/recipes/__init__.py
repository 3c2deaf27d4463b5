"""The configs that come with the package, by recipe and stage, and how stages follow another."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from tinysr.errors import choice_error

__all__ = [
    "GUEST_SOURCES",
    "RECIPES",
    "RELEASES",
    "SOURCES",
    "STARTS",
    "config_path",
    "find_release",
    "stages_of",
]

RECIPES: dict[str, tuple[str, ...]] = {
    "nano": (
        "teacher",
        "vae-encoder",
        "vae-decoder",
        "prune",
        "restore-1",
        "restore-2",
        "restore-3",
        "restore-4",
    ),
    # Textures: from an image teacher, whose images are a function of what it is shown.
    "natural": ("teach", "autoencoder", "distil", "transformer", "pixels", "keep", "faint"),
    # Its teacher is a checkpoint: TSD-SR's.
    "tinysr": ("vae-encoder", "vae-decoder", "prune", "restore-1", "restore-2"),
}
"""The stages of each recipe, in their order; each is a TOML file in the recipe's folder."""

RELEASES = {"nano": "tinysr-nano-faithful", "natural": "tinysr-nano", "tinysr": "tinysr"}
"""Preset that a recipe's last stage is released as. Two presets have the same layout, so a model
can't say itself which it is."""

SOURCES: dict[str, dict[str, str]] = {
    "vae-encoder": {"teacher": "teacher"},
    "vae-decoder": {"teacher": "teacher", "student": "vae-encoder"},
    "prune": {"teacher": "teacher"},
    "restore-1": {"teacher": "teacher", "student": "prune", "vae": "vae-decoder"},
    "restore-2": {"student": "restore-1"},
    "restore-3": {"student": "restore-2"},
    "restore-4": {"student": "restore-3"},
    "autoencoder": {"taught": "teach", "vae": "start"},
    "distil": {"student": "autoencoder", "taught": "teach"},
    "transformer": {"student": "distil", "taught": "teach"},
    "pixels": {"student": "transformer", "taught": "teach"},
    "keep": {"student": "pixels", "taught": "teach"},
    "faint": {"student": "keep", "taught": "teach"},
}
"""Stages whose product another stage takes: by that stage, and by the role of its inputs."""

STARTS: dict[str, dict[str, str]] = {"natural": {"start": "tinysr-nano-faithful"}}
"""Presets that a recipe starts from where the user names nothing else, by role."""

GUEST_SOURCES: dict[str, dict[str, str]] = {"prune": {"vae": "vae-decoder"}}
"""Further inputs of stages when the teacher is the user's: its autoencoder may be one that no
student can have."""


def stages_of(recipe: str) -> tuple[str, ...]:
    """Return a recipe's stages in their order.

    Raises:
        UnsupportedError: there is no such recipe.
    """
    if recipe not in RECIPES:
        raise choice_error("recipe", recipe, RECIPES)
    return RECIPES[recipe]


def find_release(recipe: str) -> str:
    """Return the preset that a recipe's weights are released as.

    Raises:
        UnsupportedError: there is no such recipe.
    """
    stages_of(recipe)
    return RELEASES[recipe]


def config_path(name: str) -> Path:
    """Return the file of a config named ``recipe/stage``.

    Raises:
        UnsupportedError: there is no such recipe or stage.
    """
    recipe, _, stage = name.partition("/")
    stages = stages_of(recipe)
    if stage not in stages:
        raise choice_error(f"stage of {recipe}", stage, stages)
    return Path(str(resources.files("tinysr.training.recipes") / recipe / f"{stage}.toml"))
