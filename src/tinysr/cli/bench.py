"""`tinysr bench`: how fast a bundle is on this machine, and how fast it could be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysr.progress import progress_bar

from .numbers import MILLISECONDS, THREADS, number_option
from .parity import backends_for

if TYPE_CHECKING:
    from rich.console import Console

    from tinysr.benchmarks.rows import Measured, Row, StageRow
    from tinysr.benchmarks.timing import Ratio

__all__ = ["bench"]


def bench(  # noqa: PLR0917  typer's options are its parameters
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    backend: Annotated[
        list[str] | None,
        typer.Option("-b", "--backend", help="Repeat for several; by default all that work here."),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="Repeat for several; by default all that the bundle has."),
    ] = None,
    target_ms: Annotated[
        float | None,
        number_option(
            kind=MILLISECONDS,
            text="Exit with 1 if the fastest takes longer, at the 90th percentile.",
        ),
    ] = None,
    rules: Annotated[
        str, typer.Option(help="full, or quick: it shows that all works, and means little.")
    ] = "full",
    threads: Annotated[int | None, number_option(kind=THREADS, text="CPU threads.")] = None,
    device: Annotated[str, typer.Option(help="A name for this machine.  [default: its CPU]")] = "",
    json: Annotated[Path | None, typer.Option(help="Write what was measured here.")] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Exit with 1 if something is slower than in this earlier --json."),
    ] = None,
) -> None:
    """Measure latency, stages, memory and load time, beside the limits of the machine."""
    from rich.console import Console

    from tinysr.benchmarks import bench as run
    from tinysr.benchmarks.judge import check_target, regressions
    from tinysr.benchmarks.rows import read_measured, write_measured
    from tinysr.benchmarks.timing import rules_named
    from tinysr.errors import GateError
    from tinysr.runtime.bundle import Bundle

    before = read_measured(against) if against else None
    opened = Bundle(bundle)
    options = run.Options(rules=rules_named(rules), threads=threads, device=device)
    wanted = run.contenders(opened, backends_for(opened, backend or []), precision or [])
    with progress_bar() as tell:
        found = run.bench(opened, wanted, options, tell)
    if target_ms is not None:
        found = found.model_copy(update={"target_ms": target_ms})
    if json is not None:
        write_measured(json, found)
    print_measured(Console(highlight=False), found)
    slower = regressions(found, before) if before else []
    if slower:
        raise GateError(f"slower than {against}: {'; '.join(slower)}")
    if target_ms is not None:
        check_target(found)


def print_measured(console: Console, found: Measured) -> None:
    """Print the table, and each row's stages with their limits."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    peaks, side = found.device.peaks, found.side
    console.print(f"[bold]{escape(found.model)}[/], {side}×{side} → {4 * side}×{4 * side}")
    tops = ", ".join(f"{name} {_number(x, '.2f')}" for name, x in peaks.tops.items())
    console.print(
        f"{escape(found.device.name)}: {tops} TOP/s in products of matrices, "
        f"{_number(peaks.gbps, '.0f')} GB/s of memory"
    )
    table = Table(
        "backend", "ms: p50", "p90", "p99", "img/s", "first", "load s", "hash s", "peak MB", "MB",
        "J",
        box=SIMPLE_HEAD, caption="– was not measured", caption_justify="left",
    )  # fmt: skip
    for row in found.rows:
        table.add_row(*(escape(cell) for cell in _cells(row)))
    console.print(table)
    stages = Table("ms, and share of the limit", *_parts(found), box=SIMPLE_HEAD)
    for row in found.rows:
        stages.add_row(escape(_name(row)), *(_stage(stage) for stage in row.stages))
    console.print(stages)
    for row in found.rows[1:]:
        if row.against:
            console.print(
                f"{escape(_name(row))} takes {_times(row.against)} as long as the first row"
            )
    console.print(
        f"Median of {found.rows[0].single.count} rounds after {found.rules.warmup} of warm-up, in "
        f"turns, seed {found.rules.seed}, rules {found.rules.name}; target {found.target_ms:g} ms"
    )


def _parts(found: Measured) -> list[str]:
    return [stage.name for stage in found.rows[0].stages]


def _name(row: Row) -> str:
    return f"{row.backend} {row.precision}"


def _times(found: Ratio) -> str:
    return f"{found.median:.2f} times ({found.low:.2f} to {found.high:.2f})"


def _stage(stage: StageRow) -> str:
    share = stage.share_of_limit
    return f"{stage.ms:.2f}" + ("" if share is None else f", {share:.0%} {stage.bound}")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        _name(row) + ("" if row.parity == "pass" else f" ({row.parity})"),
        f"{row.single.p50:.1f} ± {row.single.spread / 2:.1f}",
        f"{row.single.p90:.1f}",
        f"{row.single.p99:.1f}",
        _number(row.offline, ".2f"),
        _number(row.first_ms, ".0f"),
        _number(row.load_s, ".2f"),
        _number(row.hash_s, ".2f"),
        _number(row.peak_mb, ".0f"),
        f"{row.bytes / 1e6:.1f}",
        _number(row.joules, ".1f"),
    )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
