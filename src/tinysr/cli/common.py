"""Questions and pieces of output that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tinysr.terminal import Column, Output, Part, Table, style_text

if TYPE_CHECKING:
    from tinysr.parity import BisectResult, ParityReport

__all__ = ["is_bundle", "print_report", "refuse_existing"]


def is_bundle(model: str) -> bool:
    """Return whether a model's name is a bundle's folder."""
    from tinysr import paths
    from tinysr.errors import BundleError
    from tinysr.manifest import MANIFEST_NAME

    return paths.is_file(Path(model) / MANIFEST_NAME, BundleError)


def refuse_existing(plan: Path) -> None:
    """Refuse to replace a plan, which may have been edited, before minutes are spent.

    Raises:
        UnsupportedError: it is there.
    """
    from tinysr import paths, places
    from tinysr.errors import UnsupportedError

    places.check_creatable(plan, UnsupportedError)
    if paths.exists(plan, UnsupportedError):
        raise UnsupportedError(
            f"{plan}: a plan is here already; --check says whether it holds, and --overwrite "
            "replaces it"
        )


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
    return style_text("✓ pass", "green") if passed else style_text("✗ fail", "bold red")


def _print_bisect(output: Output, found: BisectResult) -> None:
    table = Table(columns=[Column(name="module"), Column(name="error", right=True)])
    for row in found.rows:
        error = "not comparable" if row.error is None else f"{row.error:.1e}"
        style = "bold red" if row.module == found.module else ""
        table.add(style_text(row.module, style), style_text(error, style))
    first = f"'{found.module}' is the first module that departs" if found.module else found.note
    output.line()
    output.line(
        f"{found.artifact} on the image '{found.image}': {first} "
        f"(allowed: {found.threshold:g} of its largest value)"
    )
    output.table(table)
