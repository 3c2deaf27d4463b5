"""`tinysr train`: the stages of a recipe, one by one or as a chain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysr import paths
from tinysr.errors import ImageError, UnsupportedError, require
from tinysr.terminal import Output

from .modes import refuse_without_effect
from .numbers import SECONDS, WHOLE, number_option
from .records import with_options

if TYPE_CHECKING:
    from tinysr.training import RecipeRun
    from tinysr.training.engine import SessionSettings, Team
    from tinysr.training.image_teachers.teach import TellLine

__all__ = ["train"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainFlags:
    """Options of `tinysr train`."""

    recipe: Annotated[str, typer.Argument(help="A recipe, nano, or one stage, nano/teacher.")]
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The run's folder: runs/RECIPE or runs/RECIPE/STAGE."),
    ] = None
    config: Annotated[
        Path | None, typer.Option(help="A TOML file in place of the packaged config.")
    ] = None
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a value: optim.steps=9, or of one stage teacher/optim.steps=9.",
        ),
    ] = None
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="A checkpoint to start from, as ROLE=PATH; may be repeated."),
    ] = None
    teacher: Annotated[
        Path | None, typer.Option(help="A teacher's checkpoint, as --input teacher=PATH.")
    ] = None
    image_teacher: Annotated[
        str | None,
        typer.Option(
            help="An image teacher, for recipes that use one: an RRDBNet's .pth, ncnn's "
            ".param beside its .bin, or realesrgan-x4plus, which the extra 'teach' installs."
        ),
    ] = None
    data: Annotated[
        Path | None, typer.Option(help="A folder of images; without one all are synthetic.")
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False
    checkpoint: Annotated[
        Path | None, typer.Option(help="With --resume: the checkpoint to go on from.")
    ] = None
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto"
    workers: Annotated[
        int, number_option(kind=WHOLE, text="Processes that load batches ahead.")
    ] = 0
    save_every: Annotated[
        float, number_option(kind=SECONDS, text="Seconds between checkpoints.")
    ] = 180
    keep_every: Annotated[
        int, number_option(kind=WHOLE, text="Steps between checkpoints that stay; 0: none.")
    ] = 0
    watch_every: Annotated[
        int, number_option(kind=WHOLE, text="Steps between measurements on photos; 0: none.")
    ] = 500
    release: Annotated[
        Path | None,
        typer.Option(help="Train nothing: write the run's weights and model card to a folder."),
    ] = None


@with_options
def train(context: typer.Context, flags: TrainFlags) -> None:
    """Train a recipe or one of its stages; Ctrl-C saves, and exits 130.

    A recipe skips the stages that are finished and goes on with the one that is not; a stage goes
    on with --resume. Several processes share each batch when torchrun starts them.
    """
    for package in ("torch", "skimage", "tensorboard"):
        require(package, extra="train")
    from tinysr.training import RecipeRun, Release, write_release
    from tinysr.training.engine import SessionSettings
    from tinysr.training.engine.signals import find_stop_code
    from tinysr.training.engine.team import gather
    from tinysr.training.image_teachers.config import TEACH
    from tinysr.training.recipes import find_release, stages_of

    screen = Output()
    folder = flags.output or Path("runs") / flags.recipe
    is_stage = "/" in flags.recipe
    if flags.release is not None:
        refuse_without_effect(context, "a release")
        name = flags.recipe.partition("/")[0]
        run = folder if is_stage else folder / stages_of(name)[-1]
        made = Release(run=run, preset=find_release(name), data=flags.data)
        for path in write_release(made, flags.release):
            screen.line(f"Wrote {path}")
        return
    if not is_stage:
        refuse_without_effect(context, "a recipe's training")
    elif not flags.resume:
        refuse_without_effect(context, "a training from the start")
    session = SessionSettings(
        workers=flags.workers,
        save_every=flags.save_every,
        keep_every=flags.keep_every,
        watch_every=flags.watch_every,
    )
    given = _inputs(
        [*(flags.inputs or ()), *([f"teacher={flags.teacher}"] if flags.teacher else [])]
    )
    sharp = _find_image_teacher(flags.image_teacher)
    if flags.data is not None and not paths.is_folder(flags.data, ImageError):
        raise ImageError(f"{flags.data}: expected a folder of images")
    with gather(flags.device) as team:
        said = screen.line if team.leads else _ignore
        said(_describe_images(flags, given))
        if not is_stage:
            recipe = RecipeRun(
                recipe=flags.recipe,
                folder=folder,
                inputs=given,
                data=flags.data,
                image_teacher=sharp,
                changes=flags.changes or (),
            )
            finished = _run_chain(recipe, session, team, said)
        elif flags.recipe.endswith(f"/{TEACH}"):
            finished = _run_lesson(flags, folder, sharp, team, said)
        elif sharp is not None:
            raise UnsupportedError(f"--image-teacher: '{flags.recipe}' does not use one")
        else:
            finished = _run_stage(flags, folder, given, session, team, said=said)
    if not finished:
        raise typer.Exit(find_stop_code())


def _describe_images(flags: TrainFlags, given: Mapping[str, Path]) -> str:
    """Return what the training sees, in a line."""
    for role in ("teach", "taught"):
        if role in given:
            return f"Crops of an image teacher in {given[role]}"
    if flags.data:
        return f"Images of {flags.data} and synthetic ones"
    return "Synthetic images alone (no --data)"


def _run_lesson(
    flags: TrainFlags, folder: Path, teacher: Path | None, team: Team, said: TellLine
) -> bool:
    """Let an image teacher enlarge the crops of its stage; return whether all are there."""
    from tinysr.training.image_teachers import Lesson, read_teach_config, teach
    from tinysr.training.recipes import config_path

    if teacher is None:
        raise UnsupportedError("this stage needs an image teacher: give --image-teacher FILE")
    config = read_teach_config(flags.config or config_path(flags.recipe), flags.changes or ())
    lesson = Lesson(config=config, teacher=teacher, folder=folder, data=flags.data)
    finished = teach(lesson, team=team, said=said)
    if not finished:
        said(f"Stopped; the same command goes on in {folder}")
    return finished


def _run_stage(
    flags: TrainFlags,
    folder: Path,
    given: Mapping[str, Path],
    session: SessionSettings,
    team: Team,
    *,
    said: TellLine,
) -> bool:
    """Train one stage of a recipe; return whether it is finished."""
    from tinysr.training import StageRun, config_path, read_config, run_stage

    job = StageRun(
        config=read_config(flags.config or config_path(flags.recipe), flags.changes or ()),
        folder=folder,
        inputs=given,
        data=flags.data,
        checkpoint=flags.checkpoint,
    )
    progress = run_stage(job, resume=flags.resume, session=session, team=team)
    finished = progress.step >= job.config.optim.steps
    if not finished:
        said(f"Stopped at step {progress.step}; --resume goes on from {folder}")
    return finished


def _run_chain(chain: RecipeRun, session: SessionSettings, team: Team, said: TellLine) -> bool:
    """Run a recipe, and write its release; return whether it is finished."""
    from tinysr.training import Release, run_chain, write_release
    from tinysr.training.recipes import find_release

    last = run_chain(chain, session=session, team=team, said=said)
    if last is not None and team.leads:
        made = Release(run=last, preset=find_release(chain.recipe), data=chain.data)
        for path in write_release(made, chain.folder / "release"):
            said(f"Wrote {path}")
    return last is not None


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
