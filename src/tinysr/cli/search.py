"""`tinysr search`: a smaller UNet that stays near its teacher."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from tinysr.errors import UnsupportedError, choice_error, require
from tinysr.terminal import Output

from .numbers import COUNT, TIMES, WHOLE, number_option
from .records import with_options

if TYPE_CHECKING:
    from typing import Literal

    from tinysr.training.architecture import SearchRecord

__all__ = ["search"]

_MEASURES = ("products", "latency")


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchFlags:
    """Options of `tinysr search`."""

    model: Annotated[
        str, typer.Argument(help="A teacher: toc-sr, pisa-sr or osediff, or its checkpoint.")
    ]
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The search's folder: searches/MODEL.")
    ] = None
    most_cost: Annotated[
        float | None,
        number_option(
            kind=TIMES, text="The limit: a cost over the teacher's; the distance is minimised."
        ),
    ] = None
    most_distance: Annotated[
        float | None,
        number_option(
            kind=TIMES, text="The limit: a distance from the teacher; the cost is minimised."
        ),
    ] = None
    measure: Annotated[str, typer.Option(help="The cost: products, or latency on this CPU.")] = (
        "products"
    )
    trials: Annotated[int, number_option(kind=COUNT, text="Candidates to measure in all.")] = 40
    tile: Annotated[
        int, number_option(kind=COUNT, text="Side of the photos that features are of, in pixels.")
    ] = 128
    seed: Annotated[int, number_option(kind=WHOLE, text="Seed of the optimisation.")] = 80


@with_options
def search(flags: SearchFlags) -> None:
    """Search for a UNet with fewer parts than its teacher's, by Bayesian optimisation.

    OUTPUT gets search.json, after every candidate, and model.safetensors, the best that keeps the
    limit. Run it again after Ctrl-C, and it goes on.
    """
    limits = {"cost": flags.most_cost, "distance": flags.most_distance}
    given = {name: value for name, value in limits.items() if value is not None}
    if len(given) != 1:
        raise UnsupportedError("expected one limit: --most-cost or --most-distance")
    if flags.measure not in _MEASURES:
        raise choice_error("measure", flags.measure, _MEASURES)
    require("torch", extra="search")
    from tinysr.models import load_checkpoint
    from tinysr.models.families.stable_diffusion import save_single_file
    from tinysr.progress import show_progress
    from tinysr.training.architecture import SearchOptions, find_architecture

    folder = flags.output or Path("searches") / Path(flags.model).stem
    ((limit, epsilon),) = given.items()
    options = SearchOptions(
        limit=cast("Literal['cost', 'distance']", limit),
        epsilon=epsilon,
        trials=flags.trials,
        measure=cast("Literal['products', 'latency']", flags.measure),
        tile=flags.tile,
        seed=flags.seed,
    )
    with show_progress() as tell:
        loaded = load_checkpoint(flags.model)
        sha256 = loaded.source.sha256
        record, student = find_architecture(loaded.model, sha256, folder, options, tell)
    _print(Output(), record, folder)
    if student is not None:
        save_single_file(student, folder / "model.safetensors")


def _print(output: Output, record: SearchRecord, folder: Path) -> None:
    best = record.best
    output.line(f"{len(record.trials)} candidates, at most {record.epsilon:g} of {record.limit}")
    if best is None:
        output.line(f"  none keeps the limit; all of them: {folder / 'search.json'}")
        return
    output.line(
        f"  best: {best.cost:.3f} of the teacher's {record.measure}, at a distance of "
        f"{best.distance:.3g}"
    )
    output.line(f"  without {', '.join(best.dropped) or 'nothing left out'}")
    output.line(f"  {folder / 'search.json'}, {folder / 'model.safetensors'}")
