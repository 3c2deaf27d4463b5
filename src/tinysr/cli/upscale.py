"""`tinysr upscale`: image files, four times the size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from tinysr.errors import TinySRError

if TYPE_CHECKING:
    from rich.progress import Progress

    from tinysr.runtime import Upscaler
    from tinysr.runtime.batch import Job

__all__ = ["upscale"]

BAD_INPUT = 2
"""The exit code when some files of a batch could not be upscaled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """One image that was written."""

    job: Job
    before: tuple[int, int]
    after: tuple[int, int]
    """Width and height, in pixels."""
    seconds: float
    """Reading and writing included."""

    def __str__(self) -> str:
        size = f"{self.before[0]}×{self.before[1]} → {self.after[0]}×{self.after[1]}"
        kib = self.job.target.stat().st_size / 1024
        return f"{self.job.target}: {size}, {kib:.0f} KiB, {self.seconds:.2f} s"

    @property
    def megapixels(self) -> float:
        """Of the result."""
        return self.after[0] * self.after[1] / 1e6


def upscale(
    inputs: Annotated[
        list[Path], typer.Argument(help="Images, or folders to walk.", show_default=False)
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="A file for one image, a folder otherwise."),
    ],
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="A bundle's folder.  [default: bundles/tinysr-nano, or the packaged one]"
        ),
    ] = None,
    backend: Annotated[
        str, typer.Option("-b", "--backend", help="A backend, or the best that passed parity.")
    ] = "auto",
    precision: Annotated[
        str | None, typer.Option(help="Of the artifacts; by default the first that passed parity.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option(help="The backend's device library: cpu, cuda, tensorrt.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A checkpoint, for the backend eager.")] = None,
    color: Annotated[str, typer.Option(help="The colour fix: adain, wavelet or none.")] = "adain",
    file_format: Annotated[
        str | None, typer.Option("--format", help="png, jpg or webp; by default each input's own.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
    max_megapixels: Annotated[
        float, typer.Option(help="Refuse results that are larger, in 10⁶ pixels.")
    ] = 256.0,
) -> None:
    """Upscale images four times."""
    from tinysr.runtime import Upscaler
    from tinysr.runtime.batch import jobs
    from tinysr.runtime.default_bundle import find_bundle

    work = jobs(inputs, output, file_format)
    if len(work) == 1:
        _check_target(work[0], overwrite=overwrite)  # before a bundle is opened
    folder = find_bundle(bundle)
    with Upscaler(
        folder,
        backend=backend,
        precision=precision,
        color=color,
        provider=provider,
        model=model,
        max_megapixels=max_megapixels,
    ) as upscaler:
        made = _run(upscaler, work, overwrite=overwrite)
    out = _console(stderr=False)
    for image in made:
        out.print(str(image))
    out.print(_summary(made, len(work)))
    out.print(f"bundle {folder}")
    out.print(f"backend {upscaler.choice}")
    if len(made) < len(work):
        raise typer.Exit(BAD_INPUT)


def _run(upscaler: Upscaler, work: Sequence[Job], *, overwrite: bool) -> list[Made]:
    """Upscale file by file; one that fails is reported, and ends all only if it is alone."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = _console(stderr=True)
    made: list[Made] = []
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    quiet = not console.is_terminal  # where a bar would leave an empty line
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        for job in work:
            try:
                made.append(_one(upscaler, job, progress, overwrite=overwrite))
            except TinySRError as error:
                if len(work) == 1:
                    raise
                named = "" if _names(error, job) else f"{job.source}: "
                console.print(f"error: {named}{' '.join(str(error).split())}")
    return made


def _one(upscaler: Upscaler, job: Job, progress: Progress, *, overwrite: bool) -> Made:
    from tinysr.runtime.images import load, save

    start = time.perf_counter()
    task = progress.add_task(job.source.name, total=None)
    try:
        _check_target(job, overwrite=overwrite)
        image = load(job.source)
        result = upscaler.upscale(
            image, lambda done, total: progress.update(task, completed=done, total=total)
        )
        save(result, job.target, overwrite=overwrite)
    finally:
        progress.remove_task(task)
    seconds = time.perf_counter() - start
    return Made(job=job, before=image.size, after=result.size, seconds=seconds)


def _check_target(job: Job, *, overwrite: bool) -> None:
    from tinysr.runtime.images import check_writable

    check_writable(job.target, overwrite=overwrite)


def _names(error: TinySRError, job: Job) -> bool:
    return any(str(path) in str(error) for path in (job.source, job.target))


def _summary(made: Sequence[Made], asked: int) -> str:
    megapixels = sum(image.megapixels for image in made)
    seconds = sum(image.seconds for image in made)
    count = "1 image" if asked == 1 else f"{asked} images"
    if len(made) < asked:
        count = f"{len(made)} of {count}"
    if not made:
        return f"made {count}"
    speed = megapixels / seconds
    return f"made {count}: {megapixels:.2f} megapixels in {seconds:.2f} s, {speed:.2f} per second"


def _console(*, stderr: bool) -> Console:
    return Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False)
