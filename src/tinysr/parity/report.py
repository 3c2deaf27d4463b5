"""The parity report as one HTML page that needs nothing but itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinysr.metrics import Metrics
from tinysr.pages import page

from .gates import GATES_DB
from .pictures import Picture, amplification, make_thumbnail
from .results import ArtifactResult, ImageResult
from .run import ParityRun

__all__ = ["render_html"]

_GATE_MARK = 60
"""Position of the gate on a bar, in percent of its length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Card:
    """One image's thumbnails, as ``data:`` URIs, and its numbers."""

    result: ImageResult
    source: str
    eager: str
    backend: str
    difference: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gallery:
    result: ArtifactResult
    factor: str
    """Factor by which the differences are amplified."""
    cards: tuple[_Card, ...]


def render_html(run: ParityRun) -> str:
    """Return the page. Every name in it is escaped: image files and bundles are the user's.

    Raises:
        MissingBackendError: jinja2 is not installed.
    """
    report = run.report
    values = {
        "report": report,
        "failed": [result for result in report.results if not result.passed],
        "matrix": _matrix(report.results),
        "galleries": _galleries(run),
        "gates": GATES_DB,
        "bar": _bar,
        "gate_mark": _GATE_MARK,
    }
    filters = {"db": _format_db, "small": _format_small, "fixed": _format_fixed}
    return page("tinysr.parity", "report.html.j2", values, filters)


def _matrix(results: tuple[ArtifactResult, ...]) -> list[tuple[ImageResult, list[ImageResult]]]:
    """Return, per image, its result in every artifact."""
    rows = zip(*(result.images for result in results), strict=True)
    return [(row[0], list(row)) for row in rows]


def _galleries(run: ParityRun) -> list[_Gallery]:
    """Return the pictures of whole upscales, and those of decoders that failed."""
    return [
        _gallery(result, run.pictures[result.label])
        for result in run.report.results
        if result.label in run.pictures and (result.stage == "upscale" or not result.passed)
    ]


def _gallery(result: ArtifactResult, pictures: tuple[Picture, ...]) -> _Gallery:
    factor = amplification(pictures)
    cards = tuple(
        _Card(
            result=image,
            source=make_thumbnail(picture.source),
            eager=make_thumbnail(picture.eager),
            backend=make_thumbnail(picture.backend),
            difference=make_thumbnail(picture.difference * factor),
        )
        for image, picture in zip(result.images, pictures, strict=True)
    )
    return _Gallery(result=result, factor=f"{factor:,.0f}", cards=cards)


def _bar(result: ArtifactResult) -> float:
    """Return the length of an artifact's bar in percent; the gate is at ``_GATE_MARK``."""
    metrics = result.worst.metrics
    if not metrics.finite:
        return 0.0
    if metrics.psnr_db is None:
        return 100.0
    return round(min(max(metrics.psnr_db / result.gate_db * _GATE_MARK, 0.0), 100.0), 1)


def _format_db(metrics: Metrics) -> str:
    if not metrics.finite:
        return "not finite"
    return "equal" if metrics.psnr_db is None else f"{metrics.psnr_db:.1f}"


def _format_small(value: Any) -> str:
    """Return an error in three digits."""
    return "–" if value is None else "0" if value == 0 else f"{value:.1e}"


def _format_fixed(value: Any) -> str:
    """Return a likeness, near 1, in as many digits as show how near."""
    return "–" if value is None else f"{value:.6f}"
