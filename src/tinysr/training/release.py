"""A run's product → the files that the package ships: fp16 weights and their model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tinysr import paths
from tinysr.atomic import write_atomically
from tinysr.errors import CheckpointError, MissingBackendError
from tinysr.models import PRESETS, TinySR, load
from tinysr.models.families.tinysr import save_single_file
from tinysr.training.cards import Origin, Scores, make_model_card
from tinysr.training.engine import CHECKPOINT, RunProgress, read_progress
from tinysr.training.evaluate import (
    HELD_OUT,
    Distance,
    PhotoPair,
    Upscale,
    evaluate,
    photo_pairs,
    upscale_bicubic,
    with_adain,
    with_constant_prediction,
)
from tinysr.training.image_teachers import Taught
from tinysr.training.losses.efficientnet import EfficientNetDistance
from tinysr.training.packaged import FEATURES_NAME, find_packaged
from tinysr.training.photos import Photos
from tinysr.training.proof import proof_lines, prove_release
from tinysr.training.provenance import (
    PackagedRecipe,
    find_crops,
    find_packaged_recipe,
    trace_provenance,
)
from tinysr.training.recipes import RELEASES
from tinysr.training.runner import PRODUCT

__all__ = ["Release", "write_release"]

CREDITS = "CREDITS.md"
"""File in a folder of photos that says whose they are; the card repeats it."""

_MOST_CREDITS = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """A run to release, and the name that it gets."""

    run: Path
    """Folder of the last stage's finished run."""
    preset: str
    """Preset that the weights are to be: several have the same layout."""
    data: Path | None = None
    """Folder of the photos that it learned from; None names nobody."""


def write_release(release: Release, into: Path) -> tuple[Path, Path]:
    """Write ``PRESET.safetensors`` and ``PRESET.md`` into a folder; return both paths.

    The card's figures are measured here, on the written file. Nothing is written of a model whose
    conditions are not constants.

    Raises:
        GateError: without its time, text and modulation modules the model is another.
        CheckpointError: the run has no product, it is another recipe's or has another layout than
            the preset, its weights don't fit fp16, or it did not learn from the photos.
        ImageError: the photos can't be read.
    """
    run, preset = release.run, release.preset
    progress = read_progress(run / CHECKPOINT)
    model = load(run / PRODUCT)
    if model.config != PRESETS[preset]:
        raise CheckpointError(
            f"{run / PRODUCT}: expected the layout of {preset}, found {model.config}"
        )
    made = trace_provenance(run)
    _check_recipe(release, find_packaged_recipe(made))
    crops = find_crops(run, progress)
    photos = _read_credits(release.data, progress, crops) if release.data else None
    weights, card = into / f"{preset}.safetensors", into / f"{preset}.md"
    pairs = photo_pairs()
    proof = prove_release(model, pairs)
    save_single_file(model, weights, torch.float16)
    released = load(weights)
    features = _find_features()
    scores = [_scores(released, them, features) for them in (pairs, photo_pairs(HELD_OUT))]
    lines = make_model_card(
        preset,
        Origin(progress=progress, made=made, crops=crops, photos=photos),
        *scores,
        size=paths.size(weights, CheckpointError),
    )
    lines += proof_lines(model, proof, len(pairs))
    write_atomically(card, "\n".join(lines), CheckpointError)
    return weights, card


def _check_recipe(release: Release, recipe: PackagedRecipe | None) -> None:
    """Refuse to give one recipe's weights the name of another's: their layouts are the same."""
    if recipe is not None and RELEASES[recipe.name] != release.preset:
        raise CheckpointError(
            f"{release.run}: made by the recipe '{recipe.name}', which is released as "
            f"{RELEASES[recipe.name]}: expected a run that may be {release.preset}"
        )


def _read_credits(data: Path, progress: RunProgress, crops: Taught | None) -> str | None:
    """Return whose photos a run learned from; None where their folder doesn't say."""
    found = Photos(data, progress.config.data.image_side).fingerprint
    if found not in (progress.inputs.get("data"), crops.origin["data"] if crops else None):
        raise CheckpointError(f"{data}: not the photos that this run learned from")
    text = paths.read_limited(data / CREDITS, _MOST_CREDITS, CheckpointError)
    return None if text is None else text.decode("utf-8", errors="replace")


def _find_features() -> Distance | None:
    """Return a distance in features; None where the package with their weights is not here."""
    try:
        return EfficientNetDistance(find_packaged(FEATURES_NAME))
    except MissingBackendError:
        return None


def _scores(model: TinySR, pairs: Sequence[PhotoPair], features: Distance | None) -> Scores:
    """Return the scores on photos by names that the card reads."""
    methods: dict[str, Upscale] = {
        "bicubic": upscale_bicubic,
        "model": model,
        "model + adain": with_adain(model),
        "model, v constant": with_constant_prediction(model),
    }
    return {name: evaluate(method, pairs, features) for name, method in methods.items()}
