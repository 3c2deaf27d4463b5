"""`tinysr parity`: hold a bundle's artifacts against the eager model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysr.progress import show_progress
from tinysr.terminal import Output

from .common import print_report

__all__ = ["parity"]

FAILED = 1
"""The exit code when a gate fails."""


def parity(  # noqa: PLR0917  typer's options are its parameters
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    backend: Annotated[
        list[str] | None,
        typer.Option("-b", "--backend", help="Repeat for several; by default all that work here."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="The checkpoint the bundle was made from, if it was not a preset."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of images to add to the suite; those that can't be read are named and "
            "left out."
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report here too, as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report's page here too.")] = None,
) -> None:
    """Compare every artifact of a bundle with the eager model, and record the verdicts.

    Exits 1 when an artifact fails its gate, after naming the first module that departs.
    """
    from tinysr.errors import require

    for package in ("torch", "onnx", "jinja2"):
        require(package, extra="parity")
    from tinysr.parity import REPORT_HTML, ReportCopies
    from tinysr.runtime.bundle import Bundle
    from tinysr.workflows.parity import check_parity

    _check_files(json, html)
    with show_progress() as progress:
        report = check_parity(
            Bundle(bundle),
            backends=backend or (),
            model=model,
            images=images,
            copies=ReportCopies(html=html, json=json),
            progress=progress,
        )
    output = Output()
    print_report(output, report)
    output.line(f"report: {bundle / REPORT_HTML}")
    if not report.passed:
        raise typer.Exit(FAILED)


def _check_files(*files: Path | None) -> None:
    """Refuse what can't be written before minutes are spent, not after."""
    from tinysr import places
    from tinysr.errors import UnsupportedError

    for file in files:
        if file is not None:
            places.check_file(file, UnsupportedError)
