"""The whole harness on one bundle: run, bisect what fails, write it down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from tinysr.atomic import write_atomically
from tinysr.manifest import Artifact
from tinysr.progress import Progress
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.session import Backend

from .bisection import bisect
from .record import REPORT_HTML, REPORT_JSON, save_manifest, with_verdicts
from .reference import Reference
from .report import render_html
from .results import ArtifactResult, ParityReport, note_bisect
from .run import ParityRun, run_parity
from .seams import SeamReference

__all__ = ["ReportCopies", "bisect_failures", "gate_bundle"]

Baked = Callable[[], nn.Module]
"""Bakes the model, when it is needed: a run that passes never does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportCopies:
    """Files that a report goes to beside those in the bundle."""

    html: Path | None = None
    """Place of the page."""
    json: Path | None = None
    """Place of the data."""


def gate_bundle(
    folder: Path,
    references: Sequence[Reference],
    *,
    backends: Iterable[Backend],
    baked: Baked | None = None,
    seam: tuple[SeamReference, ...] = (),
    further: Mapping[int, Sequence[Reference]] | None = None,
    progress: Progress | None = None,
    copies: ReportCopies | None = None,
) -> ParityReport:
    """Hold a bundle's artifacts against the eager model, and write the outcome into the bundle.

    The verdicts go into its manifest, the reports to ``reports/parity.json`` and
    ``reports/parity.html``; nothing else in it changes. The folder may still be a temporary
    one that is about to become the bundle.

    A failed gate is not an error here: look at ``report.passed`` and ``report.failure``.

    Nothing of the eager model is needed but what :func:`compute_references` made of it, so a large
    one can be dropped before::

        references = compute_references(model, suite(tile))
        del model
        report = gate_bundle(folder, references, backends=[OnnxRuntimeBackend()])

    Args:
        folder: a bundle, with its manifest.
        references: the eager model's values, at the bundle's tile size.
        backends: what to run on.
        baked: gives the baked model for the bisect of failing artifacts; without it, failures
            are not bisected. It is called at most once, and only after a failure.
        seam: from :func:`compute_seam_references`; without it, tiling is not measured.
        further: from :func:`compute_further_references`: needed for graphs that take tiles of
            more than one size, and unused for others.
        progress: told about every step.
        copies: further places for the report.

    Raises:
        BundleError: the bundle is damaged, can't be written, or lacks artifacts for a backend.
        MissingBackendError: this machine lacks what a backend needs.
        UnsupportedError: the references or a precision don't fit.
    """
    bundle = Bundle(folder)
    run = run_parity(bundle, backends, references, progress, seam=seam, further=further)
    if baked is not None and not run.report.passed:
        report = bisect_failures(bundle, run.report, references, baked, progress)
        run = replace(run, report=report)
    _write(folder, run, copies or ReportCopies())
    save_manifest(folder, with_verdicts(bundle.manifest, run.report.results))
    return run.report


def bisect_failures(
    bundle: Bundle,
    report: ParityReport,
    references: Sequence[Reference],
    baked: Baked,
    progress: Progress | None = None,
) -> ParityReport:
    """Return the report with a bisect on the worst image of every artifact that failed.

    An artifact that is not an ONNX graph is bisected through the bundle's ONNX graph of its stage:
    that tells a wrong graph from a wrong conversion.
    """
    # The baked model takes the bundle's tiles, and no other.
    failed = [r for r in report.results if not r.passed and r.side is None]
    model: nn.Module | None = None
    new: dict[int, ArtifactResult] = {}
    for done, result in enumerate(failed):
        graph = _find_graph(bundle, result)
        if graph is None:
            continue
        if progress:
            progress(f"bisect {result.label}", done, len(failed))
        if model is None:
            model = baked()
        new[id(result)] = _bisect(bundle, result, graph, references, model)
    results = tuple(new.get(id(result), result) for result in report.results)
    return report.model_copy(update={"results": results})


def _bisect(
    bundle: Bundle,
    result: ArtifactResult,
    graph: Artifact,
    references: Sequence[Reference],
    model: nn.Module,
) -> ArtifactResult:
    name = result.worst.image
    reference = next(r for r in references if r.image.name == name)
    found = bisect(
        bundle.path(graph),
        model,
        stage=result.stage,
        precision=graph.precision,
        image=name,
        inputs=reference.ends(result.stage, bundle.manifest.chain)[0],
        label=graph.label,
    )
    return note_bisect(result, found)


def _find_graph(bundle: Bundle, result: ArtifactResult) -> Artifact | None:
    """Return the ONNX graph of a result's stage: in its precision, or else in fp32."""
    graphs = [a for a in bundle.artifacts("onnx") if a.stage == result.stage]
    for precision in (result.precision, "fp32"):
        for graph in graphs:
            if graph.precision == precision:
                return graph
    return None


def _write(folder: Path, run: ParityRun, copies: ReportCopies) -> None:
    data, page = run.report.json_text(), render_html(run)
    for path in (folder / REPORT_JSON, copies.json):
        if path:
            write_atomically(path, data)
    for path in (folder / REPORT_HTML, copies.html):
        if path:
            write_atomically(path, page)
