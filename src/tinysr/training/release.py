"""A run's product → the files that the package ships: fp16 weights and their model card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from tinysr import paths
from tinysr.atomic import write_atomically
from tinysr.errors import CheckpointError
from tinysr.models import PRESETS, TinySR, load
from tinysr.models.checkpoints import save_single_file
from tinysr.training.card import Scores, make_model_card
from tinysr.training.engine import CHECKPOINT, read_progress
from tinysr.training.evaluate import (
    HELD_OUT,
    PhotoPair,
    Upscale,
    evaluate,
    photo_pairs,
    upscale_bicubic,
    with_adain,
    with_constant_prediction,
)
from tinysr.training.proof import proof_lines, prove_release
from tinysr.training.provenance import trace_provenance
from tinysr.training.runner import PRODUCT

__all__ = ["write_release"]


def write_release(run: Path, into: Path) -> tuple[Path, Path]:
    """Write ``PRESET.safetensors`` and ``PRESET.md`` into a folder; return both paths.

    The card's figures are measured here, on the written file. Nothing is written of a model whose
    conditions are no constants.

    Raises:
        GateError: without its time, text and modulation modules the model is another.
        CheckpointError: ``run`` has no product, its product is no preset's, or its weights don't
            fit fp16.
    """
    progress = read_progress(run / CHECKPOINT)
    model = load(run / PRODUCT)
    names = [name for name, config in PRESETS.items() if config == model.config]
    if not names:
        raise CheckpointError(
            f"{run / PRODUCT}: expected the layout of one of {', '.join(PRESETS)}, found another"
        )
    preset = names[0]
    weights, card = into / f"{preset}.safetensors", into / f"{preset}.md"
    pairs = photo_pairs()
    proof = prove_release(model, pairs)
    save_single_file(model, weights, torch.float16)
    released = load(weights)
    scores = _scores(released, pairs), _scores(released, photo_pairs(HELD_OUT))
    lines = make_model_card(
        preset, progress, trace_provenance(run), *scores, size=paths.size(weights, CheckpointError)
    )
    lines += proof_lines(model, proof, len(pairs))
    write_atomically(card, "\n".join(lines), CheckpointError)
    return weights, card


def _scores(model: TinySR, pairs: Sequence[PhotoPair]) -> Scores:
    """Return the scores on photos by names that the card reads."""
    methods: dict[str, Upscale] = {
        "bicubic": upscale_bicubic,
        "model": model,
        "model + adain": with_adain(model),
        "model, v constant": with_constant_prediction(model),
    }
    return {name: evaluate(method, pairs) for name, method in methods.items()}
