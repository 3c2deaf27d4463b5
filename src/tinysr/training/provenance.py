"""Provenance of a model: the runs that made it, from the records beside their products."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinysr import paths
from tinysr.errors import CheckpointError
from tinysr.training.config import RunConfig, parse_config, read_config
from tinysr.training.engine import RunProgress
from tinysr.training.image_teachers import INDEX, TAUGHT, Taught, read_taught
from tinysr.training.image_teachers.config import TEACH
from tinysr.training.recipes import RECIPES, config_path
from tinysr.training.runner import PRODUCT, RECORD, input_sha256

__all__ = [
    "FinishedRun",
    "PackagedRecipe",
    "find_crops",
    "find_packaged_recipe",
    "trace_provenance",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedRun:
    """A finished run."""

    name: str
    """Its folder's."""
    config: RunConfig
    seconds: float
    facts: Mapping[str, Any]
    """Findings of the run's stage, such as the layers to keep."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each of its inputs that none of the other runs made, by role."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackagedRecipe:
    """A packaged recipe that runs followed."""

    name: str
    whole: bool
    """Whether all of its stages are among the runs."""


def trace_provenance(run: Path) -> list[FinishedRun]:
    """Return a run and all that made its inputs, first to last.

    The runs of one recipe lie side by side. Which one made an input is told by the hash of its
    product, and what none of them made is left out.

    Raises:
        CheckpointError: a record can't be read.
    """
    neighbours = {
        input_sha256(file): file.parent
        for folder in paths.list_folder(run.parent, CheckpointError)
        if paths.is_file(file := folder / PRODUCT, CheckpointError)
    }
    found: dict[Path, FinishedRun] = {}

    def add(folder: Path) -> None:
        record = _record(folder / RECORD)
        for sha256 in record["inputs"].values():
            source = neighbours.get(sha256)
            if source is None or source in found:
                continue
            if paths.is_file(source / RECORD, CheckpointError):
                add(source)
        found[folder] = FinishedRun(
            name=folder.name,
            config=parse_config(record["config"], str(folder / RECORD)),
            seconds=record["seconds"],
            facts=record["product"],
            inputs={
                role: sha256
                for role, sha256 in record["inputs"].items()
                if neighbours.get(sha256) not in found
            },
        )

    add(run)
    return list(found.values())


def find_crops(run: Path, progress: RunProgress) -> Taught | None:
    """Return an image teacher's crops that a run learned from, where they lie beside it.

    Raises:
        CheckpointError: a folder of crops can't be read.
    """
    sha256 = progress.inputs.get(TAUGHT)
    folder = run.parent / TEACH
    if sha256 is None or not paths.is_file(folder / INDEX, CheckpointError):
        return None
    return read_taught(folder) if input_sha256(folder) == sha256 else None


def find_packaged_recipe(made: Sequence[FinishedRun]) -> PackagedRecipe | None:
    """Return the recipe whose stages, as they are packaged, these runs are; None if of none."""
    found = {run.name: run.config for run in made}
    for recipe, stages in RECIPES.items():
        trained = [stage for stage in stages if stage != TEACH]
        configs = {stage: read_config(config_path(f"{recipe}/{stage}")) for stage in trained}
        if found and found == {name: configs.get(name) for name in found}:
            return PackagedRecipe(name=recipe, whole=len(found) == len(trained))
    return None


def _record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: can't be read: {error}") from error
    if not isinstance(record, dict) or not {"config", "inputs", "seconds", "product"} <= set(
        record
    ):
        raise CheckpointError(f"{path}: expected what a finished run writes, found other JSON")
    return record
