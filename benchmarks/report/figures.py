"""The figures in the documents, from the commands that print them.

    python -m tinysr.benchmarks.report.figures bundles/tinysr-nano --fp16 bundles/tinysr-nano-fp16

rewrites what stands between the markers ``<!-- begin:NAME -->`` and ``<!-- end:NAME -->`` in
README, CONTRIBUTING and the pages: costs and steps from `tinysr inspect MODEL --json`, size and
parity from `tinysr inspect BUNDLE --json`, precision from it and from `tinysr calibrate MODEL
--json`, the gates from the constants that parity applies, quality, memory, throughput, the
comparison of precisions and what pruning leaves from the measurements in `benchmarks/results`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinysr.errors import UnsupportedError
from tinysr.models import PRESETS, SCALE
from tinysr.parity import GATES_DB
from tinysr.terminal import Output, program, run_child
from tinysr.training.pruning import PAIRINGS, SearchSpace

from .documents import fill_documents, wrap_lines
from .kept_figures import comparison_lines, memory_lines, recoverability_lines, throughput_lines
from .quality_figures import headline_lines, limit_lines, quality_lines

__all__ = [
    "bundle_lines",
    "cost_lines",
    "gate_lines",
    "headline_lines",
    "limit_lines",
    "main",
    "precision_lines",
    "pruning_lines",
    "quality_lines",
    "step_lines",
]

MODELS = ("tinysr", "tinysr-nano")

_PRECISIONS = {
    "int8": "int8 weights and activations",
    "w8": "8-bit weights",
    "w6": "6-bit weights",
    "w4": "4-bit weights",
}


def cost_lines() -> list[str]:
    """Return the table of both presets' parameters and multiply-accumulates."""
    reports = [_inspect(model) for model in MODELS]
    sides = {report["image_side"] for report in reports}
    if len(sides) != 1:
        raise UnsupportedError(f"the presets' costs are for images of different sides: {sides}")
    side = sides.pop()
    rows = {
        "parameters, as trained": [_millions(r, "eager") for r in reports],
        "parameters, modulation as constants": [_millions(r, "baked") for r in reports],
        "parameters, exported": [_millions(r, "folded") for r in reports],
        "multiply-accumulates, exported": [_giga(r, "macs") for r in reports],
        "and in the attention products": [_giga(r, "attention_macs") for r in reports],
        "weights": ["trained" if r["trained"] else "seeded, not trained" for r in reports],
    }
    head = " | ".join(f"`{model}`" for model in MODELS)
    return [
        f"| {side}×{side} → {SCALE * side}×{SCALE * side} | {head} |",
        "|---|---|---|",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()),
    ]


def step_lines() -> list[str]:
    """Return the table of what each step of the recipe leaves of the paper's size."""
    report = _run_json("inspect", MODELS[0], "--steps")
    rows = [(cost["says"], cost) for cost in report["model"].values()]
    rows += [(f"autoencoder alone: {c['says']}", c) for c in report["autoencoder"].values()]
    return [
        f"| `{report['name']}` | parameters | multiply-accumulates |",
        "|---|---|---|",
        *(
            f"| {says} | {c['parameters'] / 1e6:.2f} M | {c['macs'] / 1e9:.2f} G |"
            for says, c in rows
        ),
    ]


def pruning_lines() -> list[str]:
    """Return how many masks each kind of search reaches, at the paper's depth and at nano's."""
    spaces = [
        SearchSpace(layers=2 * PRESETS[model].transformer.depth, pairing=pairing)
        for model in MODELS
        for pairing in PAIRINGS
    ]
    rows = [
        f"| {s.layers} → {s.kept} | {s.pairing} | {s.total:,} "
        f"| {s.local:,} ({s.local / s.total:.1%}) | {s.reachable:,} ({s.reachable / s.total:.1%}) |"
        for s in spaces
    ]
    return [
        "| layers | blocks that trade | all masks | without trades | with trades |",
        "|---|---|---|---|---|",
        *rows,
    ]


def bundle_lines(bundle: Path) -> list[str]:
    """Return a bundle's size, and its lowest PSNR against the eager model."""
    report = _inspect(str(bundle))
    verdicts = [artifact["parity"] for artifact in report["artifacts"]]
    if any(verdict["result"] != "pass" for verdict in verdicts):
        raise UnsupportedError(f"{bundle}: expected a bundle that passed parity")
    # Null stands for artifacts that are equal bit for bit.
    worst = min((v for v in verdicts if v["worst_db"] is not None), key=lambda v: v["worst_db"])
    host, tools = report["host"], report["tools"]
    text = (
        f"The bundle `{report['name']}` has {len(report['artifacts'])} graphs and takes "
        f"{_megabytes(report['artifacts'])}. Its worst image against the eager model has "
        f"{worst['worst_db']:.1f} dB; the gate is {worst['gate_db']:.0f} dB. (Exported and "
        f"compared on {host['system']} {host['machine']}, CPU, with ONNX Runtime "
        f"{tools['onnxruntime']} and PyTorch {tools['torch']}.)"
    )
    return wrap_lines(text)


def precision_lines(bundle: Path, calibration: dict[str, Any]) -> list[str]:
    """Return a table of a bundle's precisions, and what was measured for it.

    Args:
        bundle: one that was exported with ``--precision fp16``, and passed parity.
        calibration: what `tinysr calibrate MODEL --json` prints.
    """
    artifacts = _inspect(str(bundle))["artifacts"]
    rows = []
    for precision in dict.fromkeys(a["precision"] for a in artifacts):
        own = [a for a in artifacts if a["precision"] == precision]
        if any(a["parity"]["result"] != "pass" for a in own):
            raise UnsupportedError(f"{bundle}: expected a bundle that passed parity in {precision}")
        # Null stands for artifacts that are equal bit for bit.
        worst = min(db for a in own if (db := a["parity"]["worst_db"]) is not None)
        gate = own[0]["parity"]["gate_db"]
        rows.append(f"| {precision} | {_megabytes(own)} | {worst:.1f} dB | {gate:.0f} dB |")
    kept, tightest = calibration["plan"]["keep"], calibration["tightest"]
    headroom = tightest["headroom"]
    evaluation = calibration["verdict"]["evaluation"]
    scores = [s for s in evaluation["scores"] if s["psnr_db"] is not None]
    lowest = min(scores, key=lambda score: score["psnr_db"])
    text = (
        f"`tinysr calibrate {calibration['model']['name']}` measured {calibration['modules']} "
        f"modules on {len(calibration['images'])} images. The largest value is "
        f"{tightest['absmax']:.0f}, at `{tightest['op']}`, {abs(headroom):.1f} powers of two "
        f"{'under' if headroom > 0 else 'over'} fp16's largest; {len(kept) or 'no'} modules are "
        "kept in fp32. In true fp16 the "
        f"worst of {len(evaluation['scores'])} images ({lowest['image']}) has "
        f"{lowest['psnr_db']:.1f} dB."
    )
    return [
        "| precision | graphs and weights | worst image of any graph, ONNX Runtime | gate |",
        "|---|---|---|---|",
        *rows,
        "",
        *wrap_lines(text),
    ]


def gate_lines() -> list[str]:
    """Return the table of the gates."""
    rows = [f"| {_PRECISIONS.get(name, name)} | {gate:.0f} |" for name, gate in GATES_DB.items()]
    return ["| precision | lowest PSNR, dB |", "|---|---|", *rows]


def _megabytes(artifacts: Sequence[dict[str, Any]]) -> str:
    files = {e["path"]: e["size"] for a in artifacts for e in (a["file"], *a["data"])}
    return f"{sum(files.values()) / 1e6:.1f} MB"


def _inspect(target: str) -> dict[str, Any]:
    return _run_json("inspect", target)


def _run_json(command: str, target: str, *words: str) -> dict[str, Any]:
    start = [sys.executable, "-c", "from tinysr.cli import main; main()"]
    program = [*start, command, target, *words]
    done = run_child([*program, "--json"])
    if done.returncode:
        raise UnsupportedError(f"tinysr {command} {target}: {done.stderr.strip()}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _calibrate() -> dict[str, Any]:
    """Return what a calibration says; its plan goes aside, where nobody edits one."""
    return _run_json("calibrate", MODELS[1], "-o", "build/figures", "--overwrite")


def _millions(report: dict[str, Any], form: str) -> str:
    return f"{report['totals'][form]['parameters'] / 1e6:.2f} M"


def _giga(report: dict[str, Any], field: str) -> str:
    return f"{report['totals']['folded'][field] / 1e9:.4g} G"


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the documents' figures; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.report.figures")
    parser.add_argument("bundle", type=Path, help="the folder of tinysr-nano's bundle")
    parser.add_argument("--fp16", type=Path, help="its bundle with fp16, for the precisions")
    parser.add_argument(
        "--documents", type=Path, default=Path(), help="the project's folder (the working folder)"
    )
    options = parser.parse_args(arguments)
    figures = {
        "bundle": bundle_lines(options.bundle),  # first: it is what may be missing
        "headline": headline_lines(),
        "limits": limit_lines(),
        "quality": quality_lines(),
        "costs": cost_lines(),
        "steps": step_lines(),
        "pruning": pruning_lines(),
        "recoverability": recoverability_lines(),
        "gates": gate_lines(),
        "memory": memory_lines(),
        "throughput": throughput_lines(),
        "comparison": comparison_lines(),
    }
    if options.fp16 is not None:
        figures["precision"] = precision_lines(options.fp16, _calibrate())
    changed = fill_documents(options.documents, figures)
    Output().line(f"Wrote the figures in {', '.join(map(str, changed))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
