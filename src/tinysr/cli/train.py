"""`tinysr train`: the stages of a recipe, one by one or as a chain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tinysr.errors import UnsupportedError, require

__all__ = ["train"]


def train(
    recipe: Annotated[str, typer.Argument(help="RECIPE/STAGE, such as nano/teacher.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The run's folder.  [default: runs/RECIPE/STAGE]"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file in place of the packaged config.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value, such as optim.steps=1000; may be repeated."),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="A checkpoint to start from, as ROLE=PATH; may be repeated."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A folder of images; without one all are synthetic.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="With --resume: the checkpoint to go on from.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that load batches ahead.")] = 0,
    save_every: Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")] = 180,
    keep_every: Annotated[
        int, typer.Option(min=0, help="Steps between checkpoints that stay; 0: none.")
    ] = 0,
    watch_every: Annotated[
        int, typer.Option(min=0, help="Steps between measurements on photos; 0: none.")
    ] = 500,
    release: Annotated[
        Path | None,
        typer.Option(help="Train nothing: write the run's weights and model card to a folder."),
    ] = None,
) -> None:
    """Train a stage; Ctrl-C saves, --resume goes on.

    Several processes share each batch when torchrun starts them.
    """
    for package in ("torch", "skimage", "tensorboard"):
        require(package, extra="train")
    from tinysr.training import Job, config_path, read_config, run_stage, write_release
    from tinysr.training.engine import Session
    from tinysr.training.engine.team import gather

    console = Console()
    folder = output or Path("runs") / recipe
    if release is not None:
        for path in write_release(folder, release):
            console.print(f"Wrote {path}")
        return
    job = Job(
        config=read_config(config or config_path(recipe), changes or ()),
        folder=folder,
        inputs=_inputs(inputs or ()),
        data=data,
        checkpoint=checkpoint,
    )
    session = Session(
        workers=workers, save_every=save_every, keep_every=keep_every, watch_every=watch_every
    )
    with gather(device) as team:
        if team.leads:
            console.print(_images(data))
        progress = run_stage(job, resume=resume, session=session, team=team)
        if team.leads and progress.step < job.config.optim.steps:
            console.print(f"Stopped at step {progress.step}; --resume goes on from {folder}")


def _images(data: Path | None) -> str:
    return f"Images of {data} and synthetic ones" if data else "Synthetic images alone (no --data)"


def _inputs(words: list[str] | tuple[()]) -> dict[str, Path]:
    pairs = [word.partition("=") for word in words]
    for role, equals, path in pairs:
        if not (role and equals and path):
            raise UnsupportedError(f"--input expects ROLE=PATH, found '{role}{equals}{path}'")
    return {role: Path(path) for role, _, path in pairs}
