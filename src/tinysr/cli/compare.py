"""`tinysr compare`: quality against size against speed, for a bundle's precisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysr.progress import show_progress
from tinysr.terminal import Column, Output, Table

from .numbers import COUNT, number_option

if TYPE_CHECKING:
    from tinysr.benchmarks.versus.compare import Comparison

__all__ = ["compare"]

JSON, PLOT, PAGE = "compare.json", "compare.png", "compare.html"


def compare(
    bundle: Annotated[
        Path, typer.Argument(help="A bundle, best with all precisions: `export --precision all`.")
    ],
    *,
    model: Annotated[
        Path | None,
        typer.Option(help="The checkpoint the bundle was made from, if it was not a preset."),
    ] = None,
    repeats: Annotated[int, number_option(kind=COUNT, text="Timed runs of each precision.")] = 11,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help=f"A folder for {JSON}, {PLOT} and {PAGE}."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, and nothing else.")
    ] = False,
) -> None:
    """Compare every precision with the eager model and the ground truth, and time it."""
    from tinysr import places
    from tinysr.errors import UnsupportedError, require

    for package in ("torch", "matplotlib"):
        require(package, extra="calibrate")
    from tinysr.benchmarks.versus.compare import compare as compare_bundle
    from tinysr.calibration import degrade_photos
    from tinysr.enlarging import prepare_image
    from tinysr.models import load_source
    from tinysr.parity import compute_references
    from tinysr.runtime.bundle import Bundle
    from tinysr.suite import suite
    from tinysr.workflows.backends import choose_backends

    if output is not None:
        places.check_creatable(output / PAGE, UnsupportedError)
    opened = Bundle(bundle)
    tile = opened.manifest.tile
    with show_progress() as tell:
        backend = choose_backends(opened, ["onnxruntime"])[0]
        loaded = load_source(opened.manifest.source, model)
        references = compute_references(loaded.model, suite(tile), tell)
        chain = opened.manifest.chain
        pairs = degrade_photos(tile, scale=chain.scale)
        photos = [(prepare_image(chain, photo.low.pixels), photo.high) for photo in pairs]
        found = compare_bundle(opened, backend, references, photos, repeats=repeats, progress=tell)
    if output is not None:
        _write(output, found)
    if as_json:
        Output().json(found.model_dump(mode="json"))
    else:
        _print(found)


def _write(folder: Path, found: Comparison) -> None:
    from tinysr.atomic import write_atomically
    from tinysr.benchmarks.record import write_record
    from tinysr.benchmarks.versus.compare_report import draw_comparison, render_html
    from tinysr.errors import UnsupportedError

    plot = draw_comparison(found)
    write_record(folder / JSON, found.model_dump(mode="json"))
    write_atomically(folder / PLOT, plot, UnsupportedError)
    write_atomically(folder / PAGE, render_html(found, plot), UnsupportedError)


def _print(found: Comparison) -> None:
    from tinysr.benchmarks.versus.compare_report import HEAD, caption, cells

    table = Table(
        columns=[Column(name=name) for name in HEAD], title=found.bundle, caption=caption(found)
    )
    for row in found.rows:
        table.add(*cells(row))
    Output().table(table)
