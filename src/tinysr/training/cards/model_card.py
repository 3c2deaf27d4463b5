"""The model card, written from a run's own records: no figure in it is typed by hand."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tinysr.training.cards.results import Scores, write_limits, write_results
from tinysr.training.engine import RunProgress
from tinysr.training.image_teachers import TAUGHT, Taught
from tinysr.training.provenance import FinishedRun, find_packaged_recipe

__all__ = ["Origin", "make_model_card"]

_MODELS = ("teacher", "student", "vae")
"""Roles of inputs that are models."""

_MEASURES = {
    "psnr": ("mean PSNR on the photos (dB)", ".2f"),
    "features": ("mean distance in features", ".3f"),
}
"""Columns of the curve and their numbers' format, by the measures' names in a run's history."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Origin of a model's weights."""

    progress: RunProgress
    """Progress of the run that made them."""
    made: Sequence[FinishedRun]
    """That run and those before it."""
    crops: Taught | None = None
    """An image teacher's crops that it learned from, where they are still there."""
    photos: str | None = None
    """Credits of the photos that it learned from, as Markdown."""


def make_model_card(
    preset: str, origin: Origin, validation: Scores, held_out: Scores, *, size: int
) -> list[str]:
    """Return the card as lines of Markdown.

    Args:
        preset: the model's name.
        origin: what made it.
        validation: scores on the validation photos.
        held_out: scores on the held-out photos.
        size: of the weights, in bytes.
    """
    return [
        f"# {preset}",
        "",
        "One-step ×4 super-resolution, RGB in [0, 1]. Weights: Apache-2.0, trained from",
        f"scratch by this project; fp16 safetensors, {size / 1e6:.1f} MB.",
        "",
        *_training(origin),
        *_photos(origin),
        *write_results(validation, held_out),
        *write_limits(origin.progress, validation),
    ]


def _photos(origin: Origin) -> list[str]:
    """Return whose photos it learned from: their licences ask for it."""
    if origin.photos is None:
        return []
    title, _, rest = origin.photos.strip().partition("\n")
    body = rest if title.startswith("# ") else origin.photos
    return ["## Photos", "", body.strip(), ""]


def _training(origin: Origin) -> list[str]:
    progress, config = origin.progress, origin.progress.config
    optim, data = config.optim, config.data
    phases = [
        f"  - {phase.share:.0%} of them: {phase.batch} patches of {phase.patch}², {phase.precision}"
        for phase in config.phases
    ]
    lines = [
        "## Training",
        "",
        *_stages(origin.made),
        "",
        f"- Data: {_images(origin)}.",
        f"- Degraded by the settings `{data.degradation}`.",
        f"- Last stage: `{config.stage}`, step {progress.step} of {optim.steps} planned,"
        f" seed {config.seed}",
        *phases,
        f"- AdamW, rate {optim.learning_rate:g} to {optim.final_rate:g} (cosine); the weights are",
        f"  an average (EMA {optim.ema:g}).",
        f"- On {os.cpu_count()} shared {platform.machine()} CPU cores, with PyTorch"
        f" {torch.__version__}.",
    ]
    lines += [
        f"- At step {row['step']}, on resuming, `{name}` was changed from {before} to {after}."
        for row in progress.history
        for name, (before, after) in row.get("changed", {}).items()
    ]
    return [*lines, "", *_curve(progress), ""]


def _stages(made: Sequence[FinishedRun]) -> list[str]:
    recipe = find_packaged_recipe(made)
    if recipe is None:
        how = ["Made by the runs below, with configs of their own."]
    elif recipe.whole:
        how = [f"Made by `tinysr train {recipe.name}`; each stage has its packaged config."]
    else:
        how = [f"Made by these stages of `tinysr train {recipe.name}`, as they are packaged, from"]
        how += [_inputs(made)]
    rows = [
        f"| {run.name} | {run.config.optim.steps} | {run.seconds / 60:.0f} | {_facts(run)} |"
        for run in made
    ]
    total = sum(run.seconds for run in made) / 60
    return [
        *how,
        "",
        "| stage | steps | minutes | |",
        "|---|---|---|---|",
        *rows,
        f"| **together** | | **{total:.0f}** | |",
    ]


def _inputs(made: Sequence[FinishedRun]) -> str:
    """Return the models that the runs were given, by role and the first digits of their hash."""
    given = {role: sha256 for run in made for role, sha256 in run.inputs.items()}
    models = [f"{role} {sha256[:16]}…" for role, sha256 in given.items() if role in _MODELS]
    return f"inputs told by their SHA-256: {', '.join(models) or 'none'}."


def _facts(run: FinishedRun) -> str:
    kept = run.facts.get("kept")
    return f"layers {', '.join(map(str, kept))} stay" if kept else ""


def _images(origin: Origin) -> str:
    progress = origin.progress
    if TAUGHT in progress.inputs:
        return _crops(origin.crops)
    data = progress.config.data
    count = progress.step // data.refresh + data.pool
    share = data.photos if "data" in progress.inputs else 0.0
    kinds = "(dead leaves, textures, gradients, writing)"
    images = f"{count} images of {data.image_side}² in the last stage"
    if not share:
        return f"{images}, synthetic\n  {kinds}, made from the seed; no photo and no data set"
    return f"{images}, {share:.0%} photos,\n  the others synthetic {kinds}, made from the seed"


def _crops(crops: Taught | None) -> str:
    """Return what an image teacher enlarged."""
    if crops is None:
        return (
            "crops with an image teacher's enlargements; `taught.json` beside them has the\n"
            "  hashes of the teacher and the photos, and the settings"
        )
    count = crops.crops * len(crops.shards)
    share = crops.origin["config"]["data"]["photos"] if crops.origin["data"] else 0
    hashes = ", ".join(f"{kind} {sha256}" for kind, sha256 in crops.origin["teacher"].items())
    return (
        f"{count} crops of {crops.patch}², {share:.0%} from photos, the others synthetic,\n"
        f"  enlarged by an image teacher (SHA-256: {hashes})"
    )


def _curve(progress: RunProgress) -> list[str]:
    """Return the measured points, about ten of them."""
    rows = [row for row in progress.history if "psnr" in row]
    kept = rows[:: max(len(rows) // 10, 1)]
    if rows and kept[-1] is not rows[-1]:
        kept.append(rows[-1])
    measures = [name for name in _MEASURES if all(name in row for row in kept)]
    heads = "".join(f" | {_MEASURES[name][0]}" for name in measures)
    lines = [f"| step | loss{heads} |", "|---|---" + "|---" * len(measures) + "|"]
    for row in kept:
        cells = "".join(f" | {row[name]:{_MEASURES[name][1]}}" for name in measures)
        lines.append(f"| {row['step']:.0f} | {row['loss']:.4f}{cells} |")
    return lines
