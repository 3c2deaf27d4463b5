"""The report's plots, as PNG: latency by device, the roofline, and growth."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinysr.errors import require

from ..latency.growth import Growth
from ..rows import BenchRun

__all__ = ["draw_growth", "draw_latency", "draw_roofline"]

_COLORS = ("#2f7ed8", "#d1493f", "#0f7b4f", "#8a5bd1", "#c98a14", "#5b6472")
_GRID = {"color": "#dddddd", "linewidth": 0.6}


def draw_latency(runs: Sequence[BenchRun], target_ms: float) -> bytes:
    """Draw every row's median, with its 90th percentile, beside the target."""
    figure, axes = _figure(width=9, height=1.2 + 0.35 * sum(len(run.rows) for run in runs))
    names, medians, tails = [], [], []
    for run in runs:
        for row in run.rows:
            names.append(f"{run.model}, {run.device.name}: {row.backend} {row.precision}")
            medians.append(row.single.p50)
            tails.append(max(0.0, row.single.p90 - row.single.p50))
    places = np.arange(len(names))
    axes.barh(places, medians, xerr=[[0.0] * len(tails), tails], color=_COLORS[0], height=0.6)
    axes.axvline(target_ms, color=_COLORS[1], linestyle="--", label=f"target {target_ms:g} ms")
    axes.set_yticks(places, names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("ms for one image, median and 90th percentile", fontsize=9)
    axes.legend(fontsize=8)
    return _png(figure, axes)


def draw_roofline(run: BenchRun) -> bytes:
    """Draw a run's stages under the roofs of its machine: reached speed against intensity."""
    figure, axes = _figure(width=7, height=4.5)
    peaks = run.device.peaks
    intensities = np.logspace(0, 4, 100)
    for color, (name, top) in zip(_COLORS, peaks.tops.items(), strict=False):
        if top is not None and peaks.gbps is not None:
            roof = np.minimum(intensities * peaks.gbps / 1e3, top)
            axes.plot(intensities, roof, color=color, linewidth=1, label=f"{name} {top:.2f} TOP/s")
    for number, row in enumerate(run.rows):
        points = [stage for stage in row.stages if stage.tops and stage.intensity]
        axes.plot(
            [stage.intensity for stage in points],
            [stage.tops for stage in points],
            "osD^v<>"[number % 7],
            color="#16191f",
            markersize=5,
            label=f"{row.backend} {row.precision}",
        )
        for stage in points:
            place = (stage.intensity or 1.0, stage.tops or 1.0)
            axes.annotate(stage.name, place, (5, 3), textcoords="offset points", fontsize=7)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("operations per byte that has to be moved", fontsize=9)
    axes.set_ylabel("10¹² operations per second", fontsize=9)
    axes.legend(fontsize=7)
    return _png(figure, axes)


def draw_growth(found: Growth) -> bytes:
    """Draw seconds and memory against size, and seconds against images."""
    figures: Any = require("matplotlib.figure", extra="bench")
    figure = figures.Figure(figsize=(10, 3.2), dpi=150, layout="constrained")
    time, memory, batch = figure.subplots(1, 3)
    sizes, images = found.sizes, found.images
    time.plot([p.size for p in sizes], [p.seconds for p in sizes], "o-", color=_COLORS[0])
    memory.plot([p.size for p in sizes], [p.peak_mb or 0.0 for p in sizes], "o-", color=_COLORS[2])
    batch.plot([p.size for p in images], [p.seconds for p in images], "o-", color=_COLORS[1])
    labels = (("megapixels", "s"), ("megapixels", "MB beside the result"), ("images", "s"))
    for axes, (x, y) in zip((time, memory, batch), labels, strict=True):
        axes.set_xlabel(x, fontsize=9)
        axes.set_ylabel(y, fontsize=9)
        axes.set_ylim(bottom=0)
        axes.grid(**_GRID)
    return _save(figure)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    figures: Any = require("matplotlib.figure", extra="bench")
    figure = figures.Figure(figsize=(width, height), dpi=150, layout="constrained")
    return figure, figure.subplots()


def _png(figure: Any, axes: Any) -> bytes:
    axes.grid(**_GRID)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return _save(figure)


def _save(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
