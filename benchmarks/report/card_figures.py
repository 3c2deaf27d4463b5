"""The figures that tell how good the packaged weights are, and how fast: from their card."""

from __future__ import annotations

from pathlib import Path

import tinysr
from tinysr.errors import UnsupportedError

from ..record import RESULTS
from .devices import read_measured_runs
from .documents import wrapped

__all__ = ["CARD", "headline_lines", "limit_lines", "quality_lines"]

MODEL = "tinysr-nano"

CARD = Path(tinysr.__file__).parent / "models" / "weights" / f"{MODEL}.md"

_SETS = ("validation photos", "held-out photos")
"""The card's tables of quality, in its order."""

_LEAST_GAIN_DB = 0.1
"""Mean PSNR that the transformer must add for it to count as a contribution, in dB."""

_BACKENDS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def quality_lines(card: Path = CARD) -> list[str]:
    """Return the means of the model card's two tables."""
    counts, methods = _means(card)
    titles = [f"{count} images of {kind}" for count, kind in zip(counts, _SETS, strict=True)]
    return [
        f"| mean PSNR in dB, SSIM | {' | '.join(titles)} |",
        f"|---|{'---|' * len(titles)}",
        *(f"| {' | '.join((name, *cells))} |" for name, cells in methods.items()),
    ]


def headline_lines(card: Path = CARD, results: Path = RESULTS) -> list[str]:
    """Return one figure of quality and one of speed."""
    counts, methods = _means(card)
    bicubic, model = (_decibels(methods[name][1]) for name in ("bicubic", "model"))
    return [
        *wrapped(
            f"**Quality:** on {counts[1]} images of photos that no training step saw, `{MODEL}` "
            f"has a mean PSNR of {model:.2f} dB, and bicubic has {bicubic:.2f} dB."
        ),
        "",
        *wrapped(f"**Speed:** {_speed(results)}"),
    ]


def limit_lines(card: Path = CARD) -> list[str]:
    """Return what the packaged weights' transformer adds, as the card's means tell."""
    counts, methods = _means(card)
    whole, flat = ([_decibels(c) for c in methods[name]] for name in ("model", "model, v constant"))
    gain = max(a - b for a, b in zip(whole, flat, strict=True))
    says = (
        "contributes next to nothing: the autoencoder does the work"
        if gain < _LEAST_GAIN_DB
        else f"adds up to {gain:.2f} dB"
    )
    changes = [f"from {a:.2f} to {b:.2f} dB" for a, b in zip(whole, flat, strict=True)]
    return wrapped(
        f"- **The transformer of the default weights, `{MODEL}`, {says}.** With its prediction "
        f"averaged over the image, the mean PSNR goes {changes[0]} on {counts[0]} images, and "
        f"{changes[1]} on {counts[1]} others.",
        indent="  ",
    )


def _speed(results: Path) -> str:
    """Return in words what the fastest committed run in fp32 took."""
    rows = [
        (row.single.p50, row, run)
        for run in read_measured_runs(results)
        for row in run.rows
        if run.model == MODEL and row.precision == "fp32"
    ]
    if not rows:
        raise UnsupportedError(
            f"{results}: expected {MODEL} in fp32 on a device, found none: `make bench-device`"
        )
    took, row, run = min(rows, key=lambda found: found[0])
    backend = _BACKENDS.get(row.backend, row.backend)
    return (
        f"`{MODEL}` takes {took:.0f} ms for a {run.side}×{run.side} image in {row.precision}, with "
        f"{backend} on {run.device.name} ({run.date})."
    )


def _means(card: Path) -> tuple[list[int], dict[str, list[str]]]:
    """Return how many images the card's tables have, and each method's means: PSNR and SSIM."""
    rows = [_cells(line) for line in card.read_text(encoding="utf-8").splitlines()]
    heads = [i for i, cells in enumerate(rows) if cells[:1] == ["photo"]]
    means = [i for i, cells in enumerate(rows) if cells[:1] == ["mean"]]
    if len(heads) != len(_SETS) or len(means) != len(_SETS):
        raise UnsupportedError(
            f"{card}: expected {len(_SETS)} tables with a row 'mean', found {len(means)}"
        )
    counts = [mean - head - 2 for head, mean in zip(heads, means, strict=True)]  # less the dashes
    names = [name.removesuffix(" PSNR, SSIM") for name in rows[heads[0]][2:]]
    columns = [rows[mean][2:] for mean in means]
    return counts, {name: cells for name, *cells in zip(names, *columns, strict=True)}


def _decibels(cell: str) -> float:
    """Return the PSNR of a cell of PSNR and SSIM."""
    return float(cell.partition(",")[0])


def _cells(line: str) -> list[str]:
    """Return the cells of a table's row, without bold; nothing for other lines."""
    if not line.startswith("|"):
        return []
    return [cell.strip().strip("*") for cell in line.strip().strip("|").split("|")]
