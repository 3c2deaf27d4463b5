"""From a run's checkpoint to what the package ships: fp16 weights and their model card."""

from __future__ import annotations

from pathlib import Path

import torch

from tinysr.models import PRESETS, TinySR, load
from tinysr.models.checkpoints import save_single_file
from tinysr.training.card import model_card
from tinysr.training.checkpoint import CHECKPOINT, read_ema
from tinysr.training.evaluate import (
    bicubic,
    evaluate,
    photo_pairs,
    with_adain,
    with_constant_prediction,
)

__all__ = ["write_release"]


def write_release(run: Path, into: Path) -> tuple[Path, Path]:
    """Write ``PRESET.safetensors`` and ``PRESET.md`` into a folder; return both paths.

    The card's figures are measured here, on the written file.

    Raises:
        CheckpointError: ``run`` holds no checkpoint, or its weights don't fit fp16.
    """
    progress, tensors = read_ema(run / CHECKPOINT)
    preset = progress.config.preset
    model = TinySR(PRESETS[preset])
    model.load_state_dict(tensors)
    weights, card = into / f"{preset}.safetensors", into / f"{preset}.md"
    save_single_file(model, weights, torch.float16)
    pairs, released = photo_pairs(), load(weights)
    # The card reads these names.
    scores = {
        "bicubic": evaluate(bicubic, pairs),
        "model": evaluate(released, pairs),
        "model + adain": evaluate(with_adain(released), pairs),
        "model, v constant": evaluate(with_constant_prediction(released), pairs),
    }
    card.write_text(model_card(progress, scores, weights.stat().st_size), encoding="utf-8")
    return weights, card
