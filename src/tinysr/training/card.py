"""The model card, written from a run's own records: no figure in it is typed by hand."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from tinysr.training.engine import RunProgress
from tinysr.training.evaluate import PhotoScore
from tinysr.training.provenance import FinishedRun, find_packaged_recipe

__all__ = ["Scores", "make_model_card"]

Scores = Mapping[str, Sequence[PhotoScore]]
"""The scores of each method, in the same order of photos."""


def make_model_card(
    preset: str,
    progress: RunProgress,
    made: Sequence[FinishedRun],
    validation: Scores,
    held_out: Scores,
    *,
    size: int,
) -> list[str]:
    """Return the card as lines of Markdown.

    Args:
        preset: the model's name.
        progress: of the run that made it.
        made: that run and those before it.
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
        *_training(progress, made),
        *_results(validation, held_out),
        *_limits(progress, validation),
    ]


def _training(progress: RunProgress, made: Sequence[FinishedRun]) -> list[str]:
    config = progress.config
    optim, data = config.optim, config.data
    phases = [
        f"  - {phase.share:.0%} of them: {phase.batch} patches of {phase.patch}², {phase.precision}"
        for phase in config.phases
    ]
    lines = [
        "## Training",
        "",
        *_stages(made),
        "",
        f"- Data: {_images(progress)}.",
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
    recipe = find_packaged_recipe(list(made))
    how = (
        f"Made by `tinysr train {recipe}`; every stage has the config that is packaged."
        if recipe
        else "Made by the runs below, with configs of their own."
    )
    rows = [
        f"| {run.name} | {run.config.optim.steps} | {run.seconds / 60:.0f} | {_facts(run)} |"
        for run in made
    ]
    total = sum(run.seconds for run in made) / 60
    return [
        how,
        "",
        "| stage | steps | minutes | |",
        "|---|---|---|---|",
        *rows,
        f"| **together** | | **{total:.0f}** | |",
    ]


def _facts(run: FinishedRun) -> str:
    kept = run.facts.get("kept")
    return f"layers {', '.join(map(str, kept))} stay" if kept else ""


def _images(progress: RunProgress) -> str:
    if "taught" in progress.inputs:
        return (
            "crops with an image teacher's enlargements; `taught.json` beside them has the hashes\n"
            "  of the teacher and the photos, and the settings"
        )
    data = progress.config.data
    count = progress.step // data.refresh + data.pool
    share = data.photos if "data" in progress.inputs else 0.0
    kinds = "(dead leaves, textures, gradients, writing)"
    images = f"{count} images of {data.image_side}² in the last stage"
    if not share:
        return f"{images}, synthetic\n  {kinds}, made from the seed; no photo and no data set"
    return f"{images}, {share:.0%} photos,\n  the others synthetic {kinds}, made from the seed"


def _curve(progress: RunProgress) -> list[str]:
    """Return the measured points, about ten of them."""
    rows = [row for row in progress.history if "psnr" in row]
    kept = rows[:: max(len(rows) // 10, 1)]
    if rows and kept[-1] is not rows[-1]:
        kept.append(rows[-1])
    lines = ["| step | loss | mean PSNR on the photos (dB) |", "|---|---|---|"]
    return lines + [f"| {r['step']:.0f} | {r['loss']:.4f} | {r['psnr']:.2f} |" for r in kept]


def _results(validation: Scores, held_out: Scores) -> list[str]:
    return [
        "## Results",
        "",
        "Photos of scikit-image, at most 512², degraded by the pipeline's light and severe",
        "settings from fixed seeds. PSNR in dB and SSIM, both over RGB, on whole images without",
        "tiling, eager fp32 from these fp16 weights. *adain* is the runtime's colour match; *v",
        "constant* has the transformer's prediction averaged over all tokens, which shows what",
        "it adds.",
        "",
        "Validation photos: no training step saw them, but runs were measured on them, which led",
        "to the choice of rates, losses and synthetic images:",
        "",
        *_table(validation),
        "",
        "Held-out photos: only finished models were measured on them. What the first of these",
        "lacked, smooth images, led to the loss that the recipe ends with:",
        "",
        *_table(held_out),
        "",
    ]


def _table(scores: Scores) -> list[str]:
    """Return scores by photo, their means, and how often the model is better than bicubic."""
    head = " | ".join(f"{method} PSNR, SSIM" for method in scores)
    lines = [f"| photo | degradation | {head} |", "|---|---|" + "---|" * len(scores)]
    for row in zip(*scores.values(), strict=True):
        cells = " | ".join(_cell([score]) for score in row)
        lines.append(f"| {row[0].photo} | {row[0].degradation} | {cells} |")
    means = " | ".join(f"**{_cell(column)}**" for column in scores.values())
    gain = _mean_gain(scores["model"], scores["bicubic"])
    wins = sum(m.psnr > b.psnr for m, b in zip(scores["model"], scores["bicubic"], strict=True))
    return [
        *lines,
        f"| **mean** | | {means} |",
        "",
        f"Mean gain over bicubic: {gain:+.2f} dB; better on {wins} of {len(scores['model'])}.",
    ]


def _cell(scores: Sequence[PhotoScore]) -> str:
    psnr = np.mean([score.psnr for score in scores])
    return f"{psnr:.2f}, {np.mean([score.ssim for score in scores]):.3f}"


def _mean_gain(scores: Sequence[PhotoScore], over: Sequence[PhotoScore]) -> float:
    pairs = zip(scores, over, strict=True)
    return float(np.mean([score.psnr - other.psnr for score, other in pairs]))


def _limits(progress: RunProgress, scores: Scores) -> list[str]:
    part = _mean_gain(scores["model"], scores["model, v constant"])
    losses = progress.config.options.get("image", {})
    alone = not (losses.get("perceptual") or losses.get("gan"))
    fidelity = ["- Its last stage was trained for fidelity alone: it invents no texture."]
    synthetic = (
        "- It never saw a photo: fur and foliage come out smoother than they were, and strong",
        "  colours a little off, which shows on smooth images that bicubic hardly harms.",
    )
    return [
        "## Limits",
        "",
        "- A stand-in that makes the toolchain testable end to end, not the paper's model: it has",
        "  about 1/75 of its parameters.",
        *(fidelity if alone else []),
        f"- The transformer adds {part:+.3f} dB over a constant prediction (*v constant*):",
        "  in a run this short the autoencoder does the work.",
        *(() if progress.inputs.keys() & {"data", "taught"} else synthetic),
        "- Strong noise, strong compression and other scales than ×4 lie outside its training.",
        "",
    ]
