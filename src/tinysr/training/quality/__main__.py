"""The command `python -m tinysr.training.quality MODEL …`: models measured on held-out photos."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from tinysr.atomic import write_atomically
from tinysr.errors import MissingBackendError, TinySRError
from tinysr.models import load
from tinysr.terminal import Output, program
from tinysr.training.evaluate import (
    HELD_OUT,
    PHOTOS,
    Upscale,
    photo_pairs,
    upscale_bicubic,
    with_adain,
    with_constant_prediction,
)
from tinysr.training.image_teachers import load_image_teacher
from tinysr.training.packaged import FEATURES_NAME, NIQE_NAME, TEACHER_NAME, find_packaged
from tinysr.training.quality.measure import METRICS, Quality, WeightedMetrics, measure
from tinysr.training.quality.speed import SIDE, Speed, measure_speed

__all__ = ["main"]

_SETS = {"watched": PHOTOS, "unwatched": HELD_OUT}
"""Photos by their names in ``--photos``: validation and held-out. Nothing learns from them."""

_HEADS = {"watched": "validation photos", "unwatched": "held-out photos"}


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
        models[f"peer {peer.stem}"] = methods[f"peer {peer.stem}"] = load_image_teacher(peer)
    quality = {
        name: {
            method: measure(run, photo_pairs(photos), metrics) for method, run in methods.items()
        }
        for name, photos in _SETS.items()
        if name in options.photos
    }
    speed = measure_speed(models, rounds=options.rounds) if options.rounds else {}
    if options.json:
        write_atomically(options.json, _json(quality, speed), TinySRError)
    Output().write(_report(quality, speed))
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tinysr.training.quality")
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


def _find_packaged(name: str) -> Path | None:
    """Return a network that a package carries; None where it is not installed."""
    try:
        return find_packaged(name)
    except MissingBackendError:
        return None


def _methods(models: Mapping[str, Any]) -> dict[str, Upscale]:
    methods: dict[str, Upscale] = {"bicubic": upscale_bicubic}
    for name, model in models.items():
        methods[name] = model
        methods[f"{name} + adain"] = with_adain(model)
        methods[f"{name}, v constant"] = with_constant_prediction(model)
    return methods


def _report(quality: Mapping[str, Mapping[str, Quality]], speed: Mapping[str, Speed]) -> str:
    """Return the figures as Markdown."""
    lines = []
    for photos, rows in quality.items():
        lines += [f"| {_HEADS[photos]} | " + " | ".join(METRICS) + " |"]
        lines += ["|---" * (len(METRICS) + 1) + "|"]
        for name, row in rows.items():
            cells = [_cell(getattr(row, metric)) for metric in METRICS]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += ["NIQE is of the photos that have two patches of 96² or more.", ""]
    if speed:
        lines += [
            f"| {SIDE}×{SIDE} → ×4, ONNX Runtime, {os.cpu_count()} threads | products, G | s |",
            "|---|---|---|",
        ]
        lines += [
            f"| {name} | {row.giga_macs:.1f} | {row.seconds:.3f} ± {row.spread:.3f} |"
            for name, row in speed.items()
        ]
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"


def _json(quality: Mapping[str, Mapping[str, Quality]], speed: Mapping[str, Speed]) -> str:
    data = {
        "quality": {
            photos: {name: dataclasses.asdict(row) for name, row in rows.items()}
            for photos, rows in quality.items()
        },
        "speed": {name: dataclasses.asdict(row) for name, row in speed.items()},
    }
    return json.dumps(data, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
