"""`tinysr train`: the stages of a recipe, one by one or as a chain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysr import paths
from tinysr.errors import ImageError, UnsupportedError, require
from tinysr.terminal import Output

from .modes import refuse_without_effect
from .numbers import SECONDS, WHOLE, number_option

if TYPE_CHECKING:
    from tinysr.training import RecipeRun
    from tinysr.training.engine import SessionSettings, Team
    from tinysr.training.image_teachers import Lesson

__all__ = ["train"]


def train(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="A recipe, nano, or one stage, nano/teacher.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The run's folder: runs/RECIPE or runs/RECIPE/STAGE."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file in place of the packaged config.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a value: optim.steps=9, or of one stage teacher/optim.steps=9.",
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="A checkpoint to start from, as ROLE=PATH; may be repeated."),
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="A teacher's checkpoint, as --input teacher=PATH.")
    ] = None,
    image_teacher: Annotated[
        str | None,
        typer.Option(
            help="An image teacher, for recipes that use one: an RRDBNet's .pth, ncnn's "
            ".param beside its .bin, or realesrgan-x4plus, which the extra 'teach' installs."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A folder of images; without one all are synthetic.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="With --resume: the checkpoint to go on from.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[
        int, number_option(kind=WHOLE, text="Processes that load batches ahead.")
    ] = 0,
    save_every: Annotated[
        float, number_option(kind=SECONDS, text="Seconds between checkpoints.")
    ] = 180,
    keep_every: Annotated[
        int, number_option(kind=WHOLE, text="Steps between checkpoints that stay; 0: none.")
    ] = 0,
    watch_every: Annotated[
        int, number_option(kind=WHOLE, text="Steps between measurements on photos; 0: none.")
    ] = 500,
    release: Annotated[
        Path | None,
        typer.Option(help="Train nothing: write the run's weights and model card to a folder."),
    ] = None,
) -> None:
    """Train a recipe or one of its stages; Ctrl-C saves.

    A recipe skips the stages that are finished and goes on with the one that is not; a stage goes
    on with --resume. Several processes share each batch when torchrun starts them.
    """
    for package in ("torch", "skimage", "tensorboard"):
        require(package, extra="train")
    from tinysr.training import (
        RecipeRun,
        StageRun,
        config_path,
        read_config,
        run_stage,
        write_release,
    )
    from tinysr.training.engine import SessionSettings
    from tinysr.training.engine.team import gather
    from tinysr.training.image_teachers import teach
    from tinysr.training.image_teachers.config import TEACH
    from tinysr.training.recipes import stages_of

    screen = Output()
    folder = output or Path("runs") / recipe
    is_stage = "/" in recipe
    if release is not None:
        refuse_without_effect(context, "a release")
        run = folder if is_stage else folder / stages_of(recipe)[-1]
        for path in write_release(run, release):
            screen.line(f"Wrote {path}")
        return
    if not is_stage:
        refuse_without_effect(context, "a recipe's training")
    elif not resume:
        refuse_without_effect(context, "a training from the start")
    session = SessionSettings(
        workers=workers, save_every=save_every, keep_every=keep_every, watch_every=watch_every
    )
    given = _inputs([*(inputs or ()), *([f"teacher={teacher}"] if teacher else [])])
    sharp = _find_image_teacher(image_teacher)
    if data is not None and not paths.is_folder(data, ImageError):
        raise ImageError(f"{data}: expected a folder of images")
    with gather(device) as team:
        said = screen.line if team.leads else _ignore
        said(
            f"Images of {data} and synthetic ones" if data else "Synthetic images alone (no --data)"
        )
        if not is_stage:
            chain = RecipeRun(
                recipe=recipe,
                folder=folder,
                inputs=given,
                data=data,
                image_teacher=sharp,
                changes=changes or (),
            )
            _run_chain(chain, session, team, said)
            return
        if recipe.endswith(f"/{TEACH}"):
            lesson = _plan_lesson(config or config_path(recipe), changes, sharp, folder, data)
            if not teach(lesson, team=team, said=said):
                said(f"Stopped; the same command goes on in {folder}")
            return
        if sharp is not None:
            raise UnsupportedError(f"--image-teacher: '{recipe}' does not use one")
        job = StageRun(
            config=read_config(config or config_path(recipe), changes or ()),
            folder=folder,
            inputs=given,
            data=data,
            checkpoint=checkpoint,
        )
        progress = run_stage(job, resume=resume, session=session, team=team)
        if progress.step < job.config.optim.steps:
            said(f"Stopped at step {progress.step}; --resume goes on from {folder}")


def _run_chain(
    chain: RecipeRun, session: SessionSettings, team: Team, said: Callable[[str], None]
) -> None:
    """Run a recipe, and write its release."""
    from tinysr.training import run_chain, write_release

    last = run_chain(chain, session=session, team=team, said=said)
    if last is not None and team.leads:
        for path in write_release(last, chain.folder / "release"):
            said(f"Wrote {path}")


def _find_image_teacher(name: str | None) -> Path | None:
    """Return an image teacher's file, by its path or the name of a packaged one."""
    from tinysr.training.packaged import IMAGE_TEACHERS, find_file

    if name is None:
        return None
    path = find_file(name)
    if not paths.is_file(path, UnsupportedError):
        known = ", ".join(IMAGE_TEACHERS)
        raise UnsupportedError(
            f"--image-teacher {name}: expected a file, or one of {known}; found nothing there"
        )
    return path


def _plan_lesson(
    config: Path, changes: list[str] | None, teacher: Path | None, folder: Path, data: Path | None
) -> Lesson:
    """Return what an image teacher enlarges, where the stage that it teaches runs alone."""
    from tinysr.training.image_teachers import Lesson, read_teach_config

    if teacher is None:
        raise UnsupportedError("this stage needs an image teacher: give --image-teacher FILE")
    return Lesson(
        config=read_teach_config(config, changes or ()), teacher=teacher, folder=folder, data=data
    )


def _ignore(_line: str) -> None:
    """Say nothing: the process that leads does."""


def _inputs(words: list[str]) -> dict[str, Path]:
    pairs = [word.partition("=") for word in words]
    for role, equals, path in pairs:
        if not (role and equals and path):
            raise UnsupportedError(f"--input expects ROLE=PATH, found '{role}{equals}{path}'")
    roles = Counter(role for role, _, _ in pairs)
    if twice := [role for role, count in roles.items() if count > 1]:
        raise UnsupportedError(f"expected one --input for each role, found two for '{twice[0]}'")
    from tinysr.training.packaged import find_file

    return {role: find_file(path) for role, _, path in pairs}
