"""`tinysr parity`: hold a bundle's artifacts against the eager model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysr.progress import progress_bar

if TYPE_CHECKING:
    from rich.console import Console
    from torch import nn

    from tinysr.manifest import Source
    from tinysr.models.load import Loaded
    from tinysr.parity import (
        BisectResult,
        ParityReport,
        Reference,
        SeamReference,
        SuiteImage,
    )
    from tinysr.progress import Progress
    from tinysr.runtime.bundle import Bundle
    from tinysr.runtime.session import Backend

__all__ = ["backends_for", "load_source", "parity", "print_report"]

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
        typer.Option(help="The checkpoint the bundle was made from, when it was no preset."),
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
    """Hold every artifact of a bundle against the eager model, and record the verdicts.

    Exits 1 when an artifact fails its gate, after naming the first module that departs.
    """
    from rich.console import Console

    from tinysr.parity import REPORT_HTML, gate_bundle
    from tinysr.runtime.bundle import Bundle

    _check_files(json, html)
    opened = Bundle(bundle)
    chosen = backends_for(opened, backend or [])
    _check_artifacts(opened, chosen)
    with progress_bar() as progress:
        references, seam, further = _references(opened, model, images, progress)
        report = gate_bundle(
            bundle,
            references,
            backends=chosen,
            baked=lambda: _baked(opened, model),
            seam=seam,
            further=further,
            progress=progress,
            html=html,
            json=json,
        )
    console = Console()
    print_report(console, report)
    console.print(f"report: {bundle / REPORT_HTML}", highlight=False, markup=False, soft_wrap=True)
    if not report.passed:
        raise typer.Exit(FAILED)


def backends_for(bundle: Bundle, names: list[str]) -> list[Backend]:
    """Return the backends asked for, or all that work here and have artifacts in the bundle.

    Raises:
        UnsupportedError: an unknown backend, or the reference itself.
        MissingBackendError: one that this machine lacks.
        BundleError: none was asked for, and none fits.
    """
    from tinysr.errors import BundleError, MissingBackendError, UnsupportedError
    from tinysr.runtime.registry import BACKENDS, create

    chosen = [create(name) for name in dict.fromkeys(names)]
    for backend in chosen:
        ready = backend.availability()
        if backend.reference:
            raise UnsupportedError(
                f"the backend {backend.name} is what artifacts are held against: choose another"
            )
        if not ready.ready:
            raise MissingBackendError(
                f"the backend {backend.name} can't run here ({ready.detail}): {ready.remedy}"
            )
    if chosen:
        return chosen
    every = [kind() for kind in BACKENDS if not kind.reference]
    fitting = [
        b
        for b in every
        if (own := bundle.artifacts(b.target))
        and b.availability().ready
        and not any(b.unfit(bundle, artifact) for artifact in own)
    ]
    if not fitting:
        raise BundleError(
            f"{bundle.folder}: no backend of this machine can open its artifacts: "
            "see `tinysr doctor`"
        )
    return fitting


def load_source(source: Source, model: Path | None) -> Loaded:
    """Load the eager model that a bundle was made from.

    Raises:
        UnsupportedError: it was made from a checkpoint, and ``model`` is not given.
        CheckpointError: the model is another one than the bundle's.
    """
    from tinysr.errors import CheckpointError, UnsupportedError
    from tinysr.models import load_checkpoint

    if model is None and source.kind != "preset":
        raise UnsupportedError(
            f"the bundle was made from the checkpoint '{source.name}': give its path with --model"
        )
    loaded = load_checkpoint(source.name if model is None else model, layers=source.layers)
    if loaded.source.sha256 != source.sha256:
        raise CheckpointError(
            f"the bundle was made from another model: expected SHA-256 {source.sha256}, "
            f"found {loaded.source.sha256} in {source.name if model is None else model}"
        )
    return loaded


def print_report(console: Console, report: ParityReport) -> None:
    """Print the verdicts, and what the bisect found."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    # Narrow enough for 80 columns.
    table = Table(title=f"Parity of {escape(report.bundle)}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("artifact", no_wrap=True)
    table.add_column("backend")
    table.add_column("gate", justify="right")
    table.add_column("worst dB", justify="right")
    table.add_column("on image")
    table.add_column("verdict", no_wrap=True)
    for result in report.results:
        worst = result.worst
        metrics = worst.metrics
        number = "equal" if metrics.psnr_db is None else f"{metrics.psnr_db:.1f}"
        table.add_row(
            f"{result.target}/{result.stage} {escape(result.precision)}"
            + (f" at {result.side}" if result.side else ""),
            result.backend,
            f"{result.gate_db:.0f}",
            number if metrics.finite else "not finite",
            escape(worst.image),
            "[green]✓ pass[/]" if result.passed else "[bold red]✗ fail[/]",
        )
    console.print(table)
    caveats = {(r.backend, r.verdict.note): None for r in report.results if r.verdict.note}
    for backend, note in caveats:
        console.print(f" {backend}: {note}", markup=False, highlight=False, soft_wrap=True)
    for seam in report.seams:
        ratio = "not finite" if seam.ratio is None else f"{seam.ratio:.2f}×"
        verdict = "[green]✓ pass[/]" if seam.passed else "[bold red]✗ fail[/]"
        console.print(
            f" {seam.tiles} tiles, {seam.windows} windows of {seam.target} {seam.precision}: "
            f"error at borders {ratio} that elsewhere, at most {seam.limit:g}× {verdict}",
            highlight=False,
            soft_wrap=True,
        )
    for result in report.results:
        if result.bisect:
            _print_bisect(console, result.bisect)


def _print_bisect(console: Console, found: BisectResult) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    table.add_column("module", overflow="fold")
    table.add_column("error", justify="right")
    for row in found.rows:
        error = "not comparable" if row.error is None else f"{row.error:.1e}"
        style = "bold red" if row.module == found.module else None
        table.add_row(escape(row.module), error, style=style)
    first = f"'{found.module}' is the first module that departs" if found.module else found.note
    console.print(
        f"\n{found.artifact} on the image '{found.image}': {first} "
        f"(allowed: {found.threshold:g} of its largest value)",
        markup=False,
        highlight=False,
    )
    console.print(table)


def _references(
    bundle: Bundle, model: Path | None, images: Path | None, progress: Progress
) -> tuple[tuple[Reference, ...], SeamReference, dict[int, tuple[Reference, ...]]]:
    """Run the eager model; it is freed on return, before any artifact is opened."""
    from tinysr.parity import (
        eager_reference,
        further_references,
        seam_reference,
        suite,
        user_images,
    )

    def every(side: int) -> tuple[SuiteImage, ...]:
        return (*suite(side), *(user_images(images, side) if images else ()))

    manifest = bundle.manifest
    own = every(manifest.tile)  # before the model: a folder may be refused
    loaded = load_source(manifest.source, model)
    references = eager_reference(loaded.model, own, progress)
    further = further_references(loaded.model, manifest, every, progress)
    return references, seam_reference(bundle, loaded.model), further


def _baked(bundle: Bundle, model: Path | None) -> nn.Module:
    from tinysr.export import bake

    return bake(load_source(bundle.manifest.source, model).model, bundle.manifest.tile)


def _check_artifacts(bundle: Bundle, backends: list[Backend]) -> None:
    """Refuse damaged artifacts before the eager model is run, not after."""
    for backend in backends:
        for artifact in bundle.artifacts(backend.target):
            bundle.path(artifact)


def _check_files(*paths: Path | None) -> None:
    """Refuse what can't be written before minutes are spent, not after."""
    from tinysr.errors import UnsupportedError

    for path in paths:
        if path is not None and path.is_dir():
            raise UnsupportedError(f"{path}: expected a file to write, found a folder")
