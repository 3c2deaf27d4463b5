"""The command `python -m tinysr.benchmarks.quality MODEL …`: models measured on held-out photos."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from tinysr.errors import MissingBackendError
from tinysr.models import load
from tinysr.progress import Progress, show_progress
from tinysr.terminal import Output, program
from tinysr.training.evaluate import (
    HELD_OUT,
    PHOTOS,
    PhotoPair,
    Upscale,
    photo_pairs,
    upscale_bicubic,
    with_adain,
    with_constant_prediction,
)
from tinysr.training.image_teachers import load_image_teacher
from tinysr.training.packaged import FEATURES_NAME, NIQE_NAME, TEACHER_NAME, find_packaged
from tinysr.training.watch import CONSTANT

from ..record import write_record
from .measure import Quality, WeightedMetrics, measure
from .report import BICUBIC, PEER, PhotoSet, Results, markdown_lines
from .speed import measure_speed

__all__ = ["main"]

_SETS = {"watched": PHOTOS, "unwatched": HELD_OUT}
"""Photos by their names in ``--photos``: validation and held-out. Nothing learns from them."""


@program
def main(arguments: list[str] | None = None) -> int:
    """Print tables of models, bicubic and a peer; return the exit code."""
    options = _options(arguments)
    metrics = WeightedMetrics.of(
        features=options.features or _find_packaged(FEATURES_NAME),
        lpips=options.lpips,
        dists=options.dists,
        niqe=options.niqe or _find_packaged(NIQE_NAME),
    )
    models: dict[str, nn.Module] = {name: load(name) for name in options.models}
    peer = options.peer or _find_packaged(TEACHER_NAME)
    methods = _methods(models)
    if peer is not None:
        models[f"{PEER}{peer.stem}"] = methods[f"{PEER}{peer.stem}"] = load_image_teacher(peer)
    photos = {}
    with show_progress() as progress:
        for name in options.photos:
            pairs = photo_pairs(_SETS[name])
            rows = _measure(methods, pairs, metrics, progress)
            photos[name] = PhotoSet(images=len(pairs), methods=rows)
    speed = measure_speed(models, rounds=options.rounds) if options.rounds else {}
    results = Results(photos=photos, speed=speed, threads=os.cpu_count() or 1)
    if options.json:
        write_record(options.json, results.model_dump(mode="json"))
    Output().write("\n".join(markdown_lines(results)) + "\n")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.quality")
    parser.add_argument("models", nargs="+", help="presets or checkpoints")
    parser.add_argument("--features", type=Path, help="EfficientNet-Lite0's weights")
    parser.add_argument("--lpips", type=Path, help="a feature network, .safetensors")
    parser.add_argument("--dists", type=Path, help="VGG16 with alpha and beta, .safetensors")
    parser.add_argument("--niqe", type=Path, help="mean and covariance, .safetensors or .mat")
    parser.add_argument("--peer", type=Path, help="an RRDBNet to stand beside the models")
    parser.add_argument("--photos", nargs="+", choices=_SETS, default=list(_SETS))
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds of timing; 0 measures no times"
    )
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    return parser.parse_args(arguments)


def _measure(
    methods: Mapping[str, Upscale],
    pairs: Sequence[PhotoPair],
    metrics: WeightedMetrics,
    progress: Progress,
) -> dict[str, Quality]:
    found = {}
    for done, (name, run) in enumerate(methods.items()):
        progress(f"{name} on {len(pairs)} photos", done, len(methods))
        found[name] = measure(run, pairs, metrics)
    return found


def _find_packaged(name: str) -> Path | None:
    """Return a network that a package carries; None where it is not installed."""
    try:
        return find_packaged(name)
    except MissingBackendError:
        return None


def _methods(models: Mapping[str, Any]) -> dict[str, Upscale]:
    methods: dict[str, Upscale] = {BICUBIC: upscale_bicubic}
    for name, model in models.items():
        methods[name] = model
        methods[f"{name} + adain"] = with_adain(model)
        methods[f"{name}{CONSTANT}"] = with_constant_prediction(model)
    return methods


if __name__ == "__main__":
    sys.exit(main())
