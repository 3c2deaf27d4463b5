"""Results of the pruning comparison, as records and as the paper's two tables."""

from __future__ import annotations

import textwrap
from typing import Any

from tinysr.records import StrictRecord

from ..timing import Latency
from .recovery import Fidelity, Quality, Recovered

__all__ = ["TEACHER", "Costs", "Results", "Student", "markdown_lines"]

TEACHER = "teacher"
"""The teacher's name among the costs."""


class Costs(StrictRecord):
    """What an exported model weighs and does for one image."""

    layers: int
    parameters: int
    macs: int
    attention_macs: int
    latency: Latency


class Student(StrictRecord):
    """What the whole recipe made of the teacher: another autoencoder, and weights of its own."""

    name: str
    sha256: str
    fidelity: Fidelity
    costs: Costs


class Results(StrictRecord):
    """All that was measured of one teacher."""

    teacher: str
    sha256: str
    plan: dict[str, Any]
    space: dict[str, Any]
    photos: int
    tile: int
    torch: str
    threads: int
    bicubic_psnr: float
    seconds: float
    teacher_quality: Quality
    rows: tuple[Recovered, ...]
    costs: dict[str, Costs]
    """Costs by method, and of the teacher."""
    student: Student | None = None


def markdown_lines(results: Results) -> list[str]:
    """Return the two tables, and what they were made with, for documents."""
    space, tune = results.space, results.plan["tune"]["optim"]["steps"]
    search = results.plan["search"]["optim"]["steps"]
    task = results.plan["search"]["options"]["image"]
    made = (
        f"{space['kept']} of {space['layers']} layers of `{results.teacher}`: {space['total']} "
        f"masks, {space['local']} of them local to blocks of {space['block']}, "
        f"{space['reachable']} reached with trades ({space['pairing']}). Learned methods search "
        f"for {search} steps with {task.get('perceptual_loss', 'lpips')} as their task loss; every "
        f"pruned model is tuned for {tune} steps on the same data. Latency is of the whole baked "
        f"model for {results.tile}², in PyTorch {results.torch} with {results.threads} threads, "
        f"all models in turns. The whole took {results.seconds / 60:.0f} minutes."
    )
    return [
        *textwrap.wrap(made, 100, break_on_hyphens=False),
        "",
        "| method | layers kept | loss before | loss after | PSNR before, dB | PSNR, dB | SSIM "
        "| PSNR to the teacher, dB | latency, ms |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_method_line(row, results.costs[row.method]) for row in results.rows),
        "",
        f"| on {results.photos} degraded photos | PSNR, dB | SSIM | parameters | "
        "multiply-accumulates | latency, ms (interquartile range) |",
        "|---|---|---|---|---|---|",
        f"| bicubic | {results.bicubic_psnr:.2f} | | | | |",
        _model_line(TEACHER, results.teacher_quality, results.costs[TEACHER]),
        *(
            _model_line(f"pruned ({row.method})", row.after, results.costs[row.method])
            for row in results.rows[-1:]
        ),
        *(
            _model_line(f"`{made.name}`", made.fidelity, made.costs)
            for made in (results.student,)
            if made is not None
        ),
    ]


def _method_line(row: Recovered, costs: Costs) -> str:
    before, after = row.before, row.after
    cells = (
        row.method, f"`{row.mask}`", f"{before.loss:.4f}", f"{after.loss:.4f}",
        f"{before.psnr:.2f}", f"{after.psnr:.2f}", f"{after.ssim:.3f}",
        f"{after.teacher_psnr:.2f}", f"{costs.latency.p50:.0f} ± {costs.latency.spread / 2:.0f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _model_line(name: str, quality: Fidelity, costs: Costs) -> str:
    time_cell = f"{costs.latency.p50:.0f} ({costs.latency.spread:.0f})"
    return (
        f"| {name}, {costs.layers} layers | {quality.psnr:.2f} | {quality.ssim:.3f} "
        f"| {costs.parameters / 1e6:.2f} M | {costs.macs / 1e9:.1f} G | {time_cell} |"
    )
