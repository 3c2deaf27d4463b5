"""`tinysr upscale`: image files, larger."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .modes import refuse_without_effect
from .numbers import COUNT, MEGABYTES, MEGAPIXELS, SCALE, number_option
from .records import with_options
from .signals import exit_code

if TYPE_CHECKING:
    from tinysr.runtime.folder import FolderWork

__all__ = ["upscale"]

ALL_PAGES = "all"
"""Word that asks for every page."""

BAD_INPUT = 2
"""The exit code when some files could not be upscaled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UpscaleFlags:
    """Options of `tinysr upscale`."""

    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Images, folders to walk, or - for standard input.", show_default=False
        ),
    ]
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="A file for one image, a folder otherwise, or - for standard output. For one "
            "image a name with a suffix is a file; with a / at its end it is a folder.  "
            "[default: photo-x4.jpg beside photo.jpg, photos-x4 beside photos]",
        ),
    ] = None
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="A bundle's folder, or the name of one in bundles/ or in the package: "
            "tinysr-nano-faithful never invents.  [default: tinysr-nano]"
        ),
    ] = None
    backend: Annotated[
        str, typer.Option("-b", "--backend", help="A backend, or the best that passed parity.")
    ] = "auto"
    precision: Annotated[
        str | None,
        typer.Option(help="Precision; by default the first that passed parity."),
    ] = None
    provider: Annotated[
        str | None, typer.Option(help="The backend's device library: cpu, cuda, tensorrt.")
    ] = None
    model: Annotated[Path | None, typer.Option(help="A checkpoint, for the backend eager.")] = None
    color: Annotated[
        str | None,
        typer.Option(
            help="The colour fix: adain, wavelet or none.  [default: the model's own, mostly adain]"
        ),
    ] = None
    scale: Annotated[
        float | None,
        number_option(
            kind=SCALE,
            text="Output side over input side. For any other than the network's own, which mostly "
            "is 4, its result is resampled.",
        ),
    ] = None
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format", help="png, jpg, webp, avif, jxl or tiff; by default each input's own."
        ),
    ] = None
    background: Annotated[
        str | None,
        typer.Option(
            help="A colour behind images with transparency, such as white or '#336699'; without "
            "one it is kept, and JPEG refuses it."
        ),
    ] = None
    page: Annotated[
        str | None,
        typer.Option(
            help="The page of a TIFF, or the frame of an animation, from 1; or all, each of which "
            "becomes a file with its number. Without it, files with several are refused."
        ),
    ] = None
    alpha_is_data: Annotated[
        bool,
        typer.Option(
            "--alpha-is-data",
            help="Enlarge colours and alpha apart, as game textures need it where alpha is no "
            "opacity; without it colours that can't be seen are lost.",
        ),
    ] = False
    take_damaged: Annotated[
        bool,
        typer.Option(
            "--take-damaged",
            help="Enlarge what there is of damaged images, and say so; without it they are "
            "refused.",
        ),
    ] = False
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace files that exist and are not up to date."),
    ] = False
    max_megapixels: Annotated[
        float,
        number_option(kind=MEGAPIXELS, text="Refuse results that are larger, in 10⁶ pixels."),
    ] = 1024.0
    memory: Annotated[
        float | None,
        number_option(
            kind=MEGABYTES,
            text="Memory for one image in the network, in 10⁶ bytes; more is faster, to a point.  "
            "[default: 1200, or half of what is free if that is less]",
        ),
    ] = None
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, and nothing else.")
    ] = False


@with_options
def upscale(context: typer.Context, flags: UpscaleFlags) -> None:
    """Upscale images by the network's own factor, which mostly is four, or by any other."""
    from tinysr.runtime import Upscaler
    from tinysr.runtime.background import parse_colour
    from tinysr.runtime.default_bundle import find_bundle, find_scale
    from tinysr.runtime.folder import FolderSettings, plan_work, run_jobs

    from .upscale_report import UpscaleReport

    if flags.output == "-":
        refuse_without_effect(context, "an image for standard output")
    if flags.background is not None:
        refuse_without_effect(context, "an image on a background")
    behind = None if flags.background is None else parse_colour(flags.background)
    page = _parse_page(flags.page)
    work = plan_work(
        flags.inputs,
        flags.output,
        file_format=flags.file_format,
        scale=flags.scale or find_scale(flags.bundle),
        all_pages=page == ALL_PAGES,
    )
    _check_first(work, overwrite=flags.overwrite, as_json=flags.as_json)
    with Upscaler(
        find_bundle(flags.bundle),
        backend=flags.backend,
        precision=flags.precision,
        color=flags.color,
        provider=flags.provider,
        model=flags.model,
        scale=flags.scale,
        max_megapixels=flags.max_megapixels,
        memory_mb=flags.memory,
    ) as upscaler:
        settings = FolderSettings(
            color=upscaler.color,
            provider=flags.provider,
            overwrite=flags.overwrite,
            background=behind,
            page=page if isinstance(page, int) else None,
            alpha_is_data=flags.alpha_is_data,
            take_damaged=flags.take_damaged,
        )
        report = UpscaleReport(work, upscaler, color=upscaler.color, as_json=flags.as_json)
        try:
            with report:
                run_jobs(upscaler, work.jobs, settings, report)
            if report.refusal is not None:
                raise report.refusal
            report.conclude()
        except KeyboardInterrupt as interruption:
            report.conclude(interrupted=True)
            raise typer.Exit(exit_code(interruption)) from None
    if report.failed:
        raise typer.Exit(BAD_INPUT)


def _parse_page(words: str | None) -> int | str | None:
    """Return the number of a page, or the word for all.

    Raises:
        UnsupportedError: it is neither.
    """
    from tinysr.errors import UnsupportedError

    if words is None or words == ALL_PAGES:
        return words
    try:
        return COUNT(words)
    except typer.BadParameter:
        raise UnsupportedError(
            f"--page: expected {COUNT}, or {ALL_PAGES}, found '{words}'"
        ) from None


def _check_first(work: FolderWork, *, overwrite: bool, as_json: bool) -> None:
    """Refuse what can be refused before a bundle is opened.

    Raises:
        TinySRError: standard input or output can't be used, or the only target can't be written.
    """
    from tinysr.errors import ImageError, UnsupportedError
    from tinysr.runtime.files import check_writable

    (job, *others) = work.jobs
    if job.source is None and (sys.stdin is None or sys.stdin.isatty()):
        found = "it closed" if sys.stdin is None else "a terminal"
        raise ImageError(f"standard input: expected an image, found {found}; name a file")
    if job.target is None:
        if as_json:
            raise UnsupportedError(
                "--json and the image can't both go to standard output: name a file with -o"
            )
        if sys.__stdout__ is None:  # it was closed before the program began
            raise ImageError("standard output: expected it open, found it closed; use -o")
        if sys.stdout.isatty():
            raise ImageError(
                "standard output: a terminal can't show an image; "
                "redirect it, or name a file with -o"
            )
    elif not others and job.folder is None and not as_json:
        check_writable(job.target, overwrite=overwrite)
