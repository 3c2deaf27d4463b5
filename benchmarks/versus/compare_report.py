"""A comparison as a plot and as a page."""

from __future__ import annotations

import base64
import io
import textwrap
from typing import Any

from tinysr.errors import require
from tinysr.pages import page

from .compare import Comparison, PrecisionRow

__all__ = ["HEAD", "caption", "cells", "draw_comparison", "markdown_lines", "render_html"]

HEAD = ("precision", "size", "worst vs eager", "gate", "mean vs eager", "vs truth", "ms per tile")


def cells(row: PrecisionRow) -> tuple[str, ...]:
    """Return a row as it is told, in the order of :data:`HEAD`."""
    return (
        row.precision,
        f"{row.bytes / 1e6:.1f} MB",
        f"{_db(row.worst_db)} ({row.worst_image})",
        f"{row.gate_db:.0f} dB" + ("" if row.passed else ", failed"),
        _db(row.mean_db),
        _db(row.truth_db, digits=2),
        f"{row.milliseconds:.0f} ± {row.spread / 2:.0f}",
    )


def markdown_lines(found: Comparison) -> list[str]:
    """Return the comparison as a table and its caption, for documents."""
    return [
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        *(f"| {' | '.join(cells(row))} |" for row in found.rows),
        "",
        *textwrap.wrap(caption(found), 100, break_on_hyphens=False),
    ]


def draw_comparison(found: Comparison) -> bytes:
    """Draw quality against size, and against speed: a point for each precision.

    Raises:
        MissingBackendError: matplotlib is not installed.
    """
    figures: Any = require("matplotlib.figure", extra="calibrate")
    figure = figures.Figure(figsize=(9, 4), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for row in found.rows:
        if row.worst_db is None:
            continue
        for axes, x in ((left, row.bytes / 1e6), (right, row.milliseconds)):
            axes.plot(x, row.worst_db, "o", color="#2f7ed8" if row.passed else "#d1493f")
            axes.annotate(
                row.precision, (x, row.worst_db), (6, 4), textcoords="offset points", fontsize=9
            )
    left.set_ylabel("worst PSNR against eager, dB", fontsize=9)
    left.set_xlabel("graphs and weights, MB", fontsize=9)
    right.set_xlabel(f"ms for a tile of {found.tile}, {found.backend}", fontsize=9)
    for axes in (left, right):
        axes.set_xlim(left=0)
        axes.margins(0.15)
        axes.grid(color="#dddddd", linewidth=0.6)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def render_html(found: Comparison, plot: bytes) -> str:
    """Return a page that needs nothing but itself. What comes from a bundle is escaped.

    Args:
        found: the comparison.
        plot: from :func:`draw_comparison`.

    Raises:
        MissingBackendError: jinja2 is not installed.
    """
    values = {
        "found": found,
        "head": HEAD,
        "rows": [cells(row) for row in found.rows],
        "caption": caption(found),
        "plot": base64.b64encode(plot).decode(),
    }
    return page("tinysr.benchmarks.versus", "compare.html.j2", values, extra="calibrate")


def caption(found: Comparison) -> str:
    """Return what was measured, and how."""
    return (
        f"PSNR against the eager model on {found.images} images, and against the ground truth of "
        f"{found.photos} degraded photos. Tiles of {found.tile}×{found.tile}, {found.backend} on "
        f"{found.machine} with {found.threads} CPUs: median ± half the interquartile range of "
        f"{found.repeats} rounds after {found.warmup} of warm-up, the precisions in turns."
    )


def _db(value: float | None, digits: int = 1) -> str:
    return "—" if value is None else f"{value:.{digits}f} dB"
