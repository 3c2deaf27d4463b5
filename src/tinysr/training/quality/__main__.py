"""Measure models on photos they never saw: `python -m tinysr.training.quality MODEL …`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from tinysr.atomic import write_atomically
from tinysr.errors import TinySRError
from tinysr.models import load
from tinysr.terminal import Output, program
from tinysr.training.evaluate import bicubic, photo_pairs
from tinysr.training.quality.measure import METRICS, Measured, Metrics, measure


@program
def main(arguments: list[str] | None = None) -> int:
    """Print a table of models and bicubic; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.training.quality")
    parser.add_argument("models", nargs="+", help="presets or checkpoints")
    parser.add_argument("--lpips", type=Path, help="a feature network, .safetensors")
    parser.add_argument("--dists", type=Path, help="VGG16 with alpha and beta, .safetensors")
    parser.add_argument("--niqe", type=Path, help="mean and covariance, .safetensors")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args(arguments)
    metrics = Metrics.of(lpips=options.lpips, dists=options.dists, niqe=options.niqe)
    models = {name: load(name) for name in options.models}
    pairs = photo_pairs()
    rows = {"bicubic": measure(bicubic, pairs, metrics)}
    rows |= {name: measure(model, pairs, metrics) for name, model in models.items()}
    if options.json:
        data = {name: dataclasses.asdict(row) for name, row in rows.items()}
        write_atomically(options.json, json.dumps(data, indent=2) + "\n", TinySRError)
    Output().write(_table(rows))
    return 0


def _table(rows: dict[str, Measured]) -> str:
    """Return the figures as Markdown."""
    lines = ["| model | " + " | ".join(METRICS) + " |", "|---" * (len(METRICS) + 1) + "|"]
    for name, row in rows.items():
        cells = [_cell(getattr(row, metric)) for metric in METRICS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())
