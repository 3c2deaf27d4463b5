"""Display of a run: a bar with the time left, and TensorBoard's logs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tinysr.errors import require
from tinysr.terminal import Output
from tinysr.terminal.bars import make_bars
from tinysr.training.engine.checkpoint import RunProgress
from tinysr.training.engine.session import StepCallback

__all__ = ["LOGS", "show_steps"]

LOGS = "logs"
"""Folder of TensorBoard's events, inside a run's folder."""


@contextlib.contextmanager
def show_steps(folder: Path, title: str, first: int, steps: int) -> Iterator[StepCallback]:
    """Yield what to call after each step; ``first`` is the step that a run goes on from."""
    require("tensorboard", extra="train")
    tensorboard = require("torch.utils.tensorboard", extra="train")
    # What an interrupted session logged after its last checkpoint is computed again.
    writer = tensorboard.SummaryWriter(str(folder / LOGS), purge_step=first + 1)
    with contextlib.closing(writer), _bar(title, first, steps) as bar:

        def report(now: RunProgress, losses: Mapping[str, float]) -> None:
            for name, value in losses.items():
                writer.add_scalar(f"train/{name}", value, now.step)
            row = now.history[-1] if now.history else {}
            if row.get("step") == now.step and "psnr" in row:
                for name in _name_measures(row):
                    writer.add_scalar(f"photos/{name}", row[name], now.step)
                writer.flush()
            bar(now, losses)

        yield report


def _name_measures(row: Mapping[str, Any]) -> list[str]:
    """Return the names of what was measured on photos."""
    return [name for name in row if name.startswith(("psnr", "features"))]


@contextlib.contextmanager
def _bar(title: str, first: int, steps: int) -> Iterator[StepCallback]:
    """Show the step, a running loss, the last PSNR on the photos, and the time left."""
    output = Output()
    with make_bars(
        output,
        "{task.description} step",
        "loss {task.fields[loss]:.4f} · photos {task.fields[psnr]:.2f} dB ·",
        transient=False,
        disable=not output.console.is_terminal,
        memory_s=300,
    ) as display:
        log = None if output.console.is_terminal else output
        nothing: dict[str, Any] = {"loss": float("nan"), "psnr": float("nan")}
        task = display.add_task(title, total=steps, completed=first, **nothing)
        smooth: list[float] = []

        def report(progress: RunProgress, losses: Mapping[str, float]) -> None:
            loss = losses["loss"]
            smooth.append(loss if not smooth else 0.98 * smooth.pop() + 0.02 * loss)
            measured = [row["psnr"] for row in progress.history if "psnr" in row]
            display.update(
                task,
                completed=progress.step,
                loss=smooth[0],
                psnr=measured[-1] if measured else float("nan"),
            )
            if log and progress.history and progress.history[-1]["step"] == progress.step:
                left = display.tasks[task].time_remaining or 0.0
                row = progress.history[-1]
                seen = "".join(f", {name} {row[name]:.3f}" for name in _name_measures(row))
                log.line(
                    f"{title}: step {progress.step} of {steps}, loss {smooth[0]:.4f}; "
                    f"photos{seen}; {left / 60:.0f} min left"
                )

        yield report
