"""`tinysr parity`: hold a bundle's artifacts against the eager model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysr.progress import progress_bar
from tinysr.terminal import Column, Output, Part, Table, styled

if TYPE_CHECKING:
    from torch import nn

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

__all__ = ["backends_for", "parity", "print_report"]

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
    output = Output()
    print_report(output, report)
    output.line(f"report: {bundle / REPORT_HTML}")
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
        ready = backend.status()
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
        and b.status().ready
        and not any(b.unfit(bundle, artifact) for artifact in own)
    ]
    if not fitting:
        raise BundleError(
            f"{bundle.folder}: no backend of this machine can open its artifacts: "
            "see `tinysr doctor`"
        )
    return fitting


def print_report(output: Output, report: ParityReport) -> None:
    """Print the verdicts, and what the bisect found."""
    output.table(_verdicts(report))
    caveats = {(r.backend, r.verdict.note): None for r in report.results if r.verdict.note}
    for backend, note in caveats:
        output.line(f"{backend}: {note}")
    for seam in report.seams:
        ratio = "not finite" if seam.ratio is None else f"{seam.ratio:.2f}×"
        output.line(
            f"{seam.tiles} tiles, {seam.windows} windows of {seam.target} {seam.precision}: "
            f"error at borders {ratio} that elsewhere, at most {seam.limit:g}× ",
            _verdict(seam.passed),
        )
    for result in report.results:
        if result.bisect:
            _print_bisect(output, result.bisect)


def _verdicts(report: ParityReport) -> Table:
    table = Table(
        columns=[
            Column(name="artifact"),
            Column(name="backend"),
            Column(name="gate dB", right=True),
            Column(name="worst dB", right=True),
            Column(name="on image"),
            Column(name="verdict"),
        ],
        title=f"Parity of {report.bundle}",
    )
    for result in report.results:
        worst = result.worst
        metrics = worst.metrics
        number = "equal" if metrics.psnr_db is None else f"{metrics.psnr_db:.1f}"
        table.add(
            f"{result.target}/{result.stage} {result.precision}"
            + (f" at {result.side}" if result.side else ""),
            result.backend,
            f"{result.gate_db:.0f}",
            number if metrics.finite else "not finite",
            worst.image,
            _verdict(result.passed),
        )
    return table


def _verdict(passed: bool) -> Part:
    return styled("✓ pass", "green") if passed else styled("✗ fail", "bold red")


def _print_bisect(output: Output, found: BisectResult) -> None:
    table = Table(columns=[Column(name="module"), Column(name="error", right=True)])
    for row in found.rows:
        error = "not comparable" if row.error is None else f"{row.error:.1e}"
        style = "bold red" if row.module == found.module else ""
        table.add(styled(row.module, style), styled(error, style))
    first = f"'{found.module}' is the first module that departs" if found.module else found.note
    output.line()
    output.line(
        f"{found.artifact} on the image '{found.image}': {first} "
        f"(allowed: {found.threshold:g} of its largest value)"
    )
    output.table(table)


def _references(
    bundle: Bundle, model: Path | None, images: Path | None, progress: Progress
) -> tuple[tuple[Reference, ...], SeamReference, dict[int, tuple[Reference, ...]]]:
    """Run the eager model; it is freed on return, before any artifact is opened."""
    from tinysr.models import load_source
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
    from tinysr.models import load_source

    return bake(load_source(bundle.manifest.source, model).model, bundle.manifest.tile)


def _check_artifacts(bundle: Bundle, backends: list[Backend]) -> None:
    """Refuse damaged artifacts before the eager model is run, not after."""
    for backend in backends:
        for artifact in bundle.artifacts(backend.target):
            bundle.path(artifact)


def _check_files(*files: Path | None) -> None:
    """Refuse what can't be written before minutes are spent, not after."""
    from tinysr import places
    from tinysr.errors import UnsupportedError

    for file in files:
        if file is not None:
            places.check_file(file, UnsupportedError)
