"""`tinysr train`: train the small model that the package ships."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from tinysr.errors import choices, require

if TYPE_CHECKING:
    from tinysr.training import Progress, Report, TrainConfig

__all__ = ["train"]


def train(
    recipe: Annotated[str, typer.Argument(help="What to train: nano.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The run's folder.  [default: runs/RECIPE]"),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimizer steps.  [default: the recipe's]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="[default: the recipe's]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    processes: Annotated[
        int,
        typer.Option(min=1, help="Share each batch among processes of one thread each."),
    ] = 1,
    release: Annotated[
        Path | None,
        typer.Option(help="Train nothing: write the run's weights and model card to a folder."),
    ] = None,
) -> None:
    """Train on synthetic images; Ctrl-C saves, --resume goes on.

    A finished run's folder holds the fp16 weights and their model card.
    """
    for package in ("torch", "skimage"):
        require(package, extra="train")
    from tinysr.training import RECIPES, write_release

    if recipe not in RECIPES:
        raise choices("recipe", recipe, RECIPES)
    folder = output or Path("runs") / recipe
    console = Console()
    if release is None:
        config = _config(RECIPES[recipe], steps, seed)
        progress = _train(config, folder, resume=resume, processes=processes)
        if progress.step < config.steps:
            console.print(f"Stopped at step {progress.step}; --resume goes on from {folder}")
            return
    for path in write_release(folder, release or folder):
        console.print(f"Wrote {path}")


def _config(recipe: TrainConfig, steps: int | None, seed: int | None) -> TrainConfig:
    return dataclasses.replace(
        recipe,
        steps=recipe.steps if steps is None else steps,
        seed=recipe.seed if seed is None else seed,
    )


def _train(config: TrainConfig, folder: Path, *, resume: bool, processes: int) -> Progress:
    from tinysr.training import Schedule, mean_psnr, photo_pairs
    from tinysr.training import train as run

    pairs = photo_pairs()
    with _display(config.steps) as report:
        schedule = Schedule(
            processes=processes, watch=lambda model: mean_psnr(model, pairs), report=report
        )
        _, progress = run(config, folder, resume=resume, schedule=schedule)
    return progress


@contextlib.contextmanager
def _display(steps: int) -> Iterator[Report]:
    """Show the step, a running loss, the last PSNR on the photos, and the time left."""
    from rich import progress as bars

    columns = (
        bars.TextColumn("step"),
        bars.MofNCompleteColumn(),
        bars.BarColumn(),
        bars.TextColumn("loss {task.fields[loss]:.4f} · photos {task.fields[psnr]:.2f} dB ·"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns) as display:
        task = display.add_task("", total=steps, loss=float("nan"), psnr=float("nan"))
        smooth: list[float] = []

        def report(progress: Progress, loss: float) -> None:
            smooth.append(loss if not smooth else 0.98 * smooth.pop() + 0.02 * loss)
            measured = [row["psnr"] for row in progress.history if "psnr" in row]
            display.update(
                task,
                completed=progress.step,
                loss=smooth[0],
                psnr=measured[-1] if measured else float("nan"),
            )

        yield report
