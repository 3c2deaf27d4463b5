"""A measurement of quality as data, and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinysr.records import StrictRecord

from .measure import METRICS, Quality
from .speed import SIDE, Speed

__all__ = ["BICUBIC", "PEER", "PhotoSet", "Results", "markdown_lines"]

BICUBIC = "bicubic"
"""Name of the interpolation among the methods."""

PEER = "peer "
"""Beginning of a peer's name among the methods."""

_NAMES = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "features": "features",
    "lpips": "LPIPS",
    "dists": "DISTS",
    "niqe": "NIQE",
}

_HEADS = {"watched": "validation photos", "unwatched": "held-out photos"}


class PhotoSet(StrictRecord):
    """All methods on one set of photos."""

    images: int
    methods: Mapping[str, Quality]
    """Means of each method, by its name."""


class Results(StrictRecord):
    """A measurement, as its file has it."""

    photos: Mapping[str, PhotoSet]
    """Sets of photos by name: `watched` while models were trained, and `unwatched`."""
    speed: Mapping[str, Speed]
    """Costs of each model; empty where no times were measured."""
    threads: int
    """CPU threads that all models ran on."""


def markdown_lines(results: Results) -> list[str]:
    """Return the figures as tables."""
    lines: list[str] = []
    for name, photos in results.photos.items():
        lines += [*_quality_lines(f"{photos.images} images of {_HEADS[name]}", photos.methods), ""]
    lines += ["NIQE is of the photos that have two patches of 96² or more."]
    return [*lines, "", *_speed_lines(results)] if results.speed else lines


def _quality_lines(head: str, methods: Mapping[str, Quality]) -> list[str]:
    # A column that nothing fills says nothing.
    shown = [m for m in METRICS if any(getattr(row, m) is not None for row in methods.values())]
    return _table(
        (head, *(_NAMES[metric] for metric in shown)),
        [(name, *(_cell(getattr(row, m)) for m in shown)) for name, row in methods.items()],
    )


def _speed_lines(results: Results) -> list[str]:
    slowest = max(row.seconds for row in results.speed.values())
    head = f"{SIDE}×{SIDE} → ×4, ONNX Runtime, {results.threads} threads"
    return _table(
        (head, "products, G", "s", "times as fast as the slowest"),
        [
            (
                name,
                f"{row.giga_macs:.1f}",
                f"{row.seconds:.3f} ± {row.spread:.3f}",
                f"{slowest / row.seconds:.1f}",
            )
            for name, row in results.speed.items()
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _cell(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"
