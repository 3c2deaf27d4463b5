"""The card's figures: scores on photos, and what the model can't do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinysr.training.engine import RunProgress
from tinysr.training.evaluate import PhotoScore

__all__ = ["Scores", "write_limits", "write_results"]

Scores = Mapping[str, Sequence[PhotoScore]]
"""The scores of each method, in the same order of photos."""

_WORTH_DB, _WORTH_FEATURES = 0.3, 0.15
"""Gains in PSNR and in features, one of which the transformer must have to count as at work."""


def write_results(validation: Scores, held_out: Scores) -> list[str]:
    """Return the section of scores, with a table for each set of photos."""
    measured = _features(validation["model"]) is not None
    features = (
        "*Features* are the distance to the original in",
        "EfficientNet-Lite0's features, of which less is better.",
    )
    return [
        "## Results",
        "",
        "Photos of scikit-image, at most 512², degraded by the pipeline's light and severe",
        "settings from fixed seeds. PSNR in dB and SSIM, both over RGB, on whole images without",
        "tiling, eager fp32 from these fp16 weights. *adain* is the runtime's colour match; *v",
        "constant* has the transformer's prediction averaged over all tokens, which shows what",
        "it adds.",
        *(features if measured else ()),
        "",
        "Validation photos: no training step saw them, but runs were measured on them, which led",
        "to the choice of rates, losses and synthetic images:",
        "",
        *_table(validation),
        "",
        "Held-out photos: only finished models were measured on them. What the first of these",
        "lacked, smooth images, led to the losses and the images that today's recipes end with:",
        "",
        *_table(held_out),
        "",
    ]


def write_limits(progress: RunProgress, scores: Scores) -> list[str]:
    """Return the section of what the model can't do, as its config and scores tell."""
    losses = progress.config.options.get("image", {})
    faithful = not (losses.get("perceptual") or losses.get("gan"))
    fidelity = ("- Its last stage was trained for fidelity alone: it invents no texture.",)
    natural = (
        "- It draws textures as they may have been, not as they were. For text, maps, medicine",
        "  and measurements take `tinysr-nano-faithful`.",
    )
    synthetic = (
        "- It never saw a photo: fur and foliage come out smoother than they were, and strong",
        "  colours a little off, which shows on smooth images that bicubic hardly harms.",
    )
    return [
        "## Limits",
        "",
        "- Not the paper's model: it has about 1/75 of its parameters.",
        *(fidelity if faithful else natural),
        *_transformer(scores),
        *(() if progress.inputs.keys() & {"data", "taught"} else synthetic),
        "- Strong noise, strong compression and other scales than ×4 lie outside its training.",
        "",
    ]


def _transformer(scores: Scores) -> list[str]:
    """Return what the transformer adds over its average."""
    whole, flat = scores["model"], scores["model, v constant"]
    decibels = _mean_gain(whole, flat)
    nearer = [value for value in (_features(flat), _features(whole)) if value is not None]
    features = nearer[0] - nearer[1] if len(nearer) == 2 else 0.0
    also = f", and {features:+.3f} nearer in features" if nearer else ""
    line = f"- The transformer adds {decibels:+.3f} dB over a constant prediction (*v constant*)"
    if decibels >= _WORTH_DB or features >= _WORTH_FEATURES:
        return [f"{line}{also}."]
    return [f"{line}{also}:", "  the autoencoder does most of the work."]


def _table(scores: Scores) -> list[str]:
    """Return scores by photo, their means, and how often the model is better than bicubic."""
    metrics = "PSNR, SSIM" if _features(scores["model"]) is None else "PSNR, SSIM, features"
    head = " | ".join(f"{method} {metrics}" for method in scores)
    lines = [f"| photo | degradation | {head} |", "|---|---|" + "---|" * len(scores)]
    for row in zip(*scores.values(), strict=True):
        cells = " | ".join(_cell([score]) for score in row)
        lines.append(f"| {row[0].photo} | {row[0].degradation} | {cells} |")
    means = " | ".join(f"**{_cell(column)}**" for column in scores.values())
    differences = [
        model.psnr - bicubic.psnr
        for model, bicubic in zip(scores["model"], scores["bicubic"], strict=True)
    ]
    wins = sum(difference > 0 for difference in differences)
    return [
        *lines,
        f"| **mean** | | {means} |",
        "",
        f"Mean gain over bicubic: {np.mean(differences):+.2f} dB; better on {wins} of "
        f"{len(differences)}, {min(differences):+.2f} dB at worst.",
    ]


def _cell(scores: Sequence[PhotoScore]) -> str:
    psnr = np.mean([score.psnr for score in scores])
    cell = f"{psnr:.2f}, {np.mean([score.ssim for score in scores]):.3f}"
    features = _features(scores)
    return cell if features is None else f"{cell}, {features:.3f}"


def _features(scores: Sequence[PhotoScore]) -> float | None:
    """Return the mean distance in features; None where it is not measured."""
    found = [score.features for score in scores if score.features is not None]
    return float(np.mean(found)) if len(found) == len(scores) else None


def _mean_gain(scores: Sequence[PhotoScore], over: Sequence[PhotoScore]) -> float:
    pairs = zip(scores, over, strict=True)
    return float(np.mean([score.psnr - other.psnr for score, other in pairs]))
