"""`tinysr bench`: how fast a bundle is on this machine, and how fast it could be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysr.progress import show_progress
from tinysr.terminal import Column, Output, Table, style_text

from .numbers import MILLISECONDS, THREADS, number_option
from .records import with_options

if TYPE_CHECKING:
    from tinysr.benchmarks.rows import BenchRun, Row, StageRow
    from tinysr.benchmarks.timing import Ratio

__all__ = ["bench", "print_measured"]

_TIMES = ("p50 ms", "p90 ms", "p99 ms", "img/s")
_COSTS = ("first ms", "load s", "hash s", "peak MB", "MB", "J")


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchFlags:
    """Options of `tinysr bench`."""

    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")]
    backend: Annotated[
        list[str] | None,
        typer.Option("-b", "--backend", help="Repeat for several; by default all that work here."),
    ] = None
    precision: Annotated[
        list[str] | None,
        typer.Option(help="Repeat for several; by default all that the bundle has."),
    ] = None
    target_ms: Annotated[
        float | None,
        number_option(
            kind=MILLISECONDS,
            text="Exit with 1 if the fastest takes longer, at the 90th percentile.",
        ),
    ] = None
    rules: Annotated[
        str,
        typer.Option(help="full, or quick: a short test that all works; its figures mean little."),
    ] = "full"
    threads: Annotated[int | None, number_option(kind=THREADS, text="CPU threads.")] = None
    device: Annotated[str, typer.Option(help="A name for this machine.  [default: its CPU]")] = ""
    json: Annotated[Path | None, typer.Option(help="Write what was measured here.")] = None
    against: Annotated[
        Path | None,
        typer.Option(help="Exit with 1 if something is slower than in this earlier --json."),
    ] = None


@with_options
def bench(flags: BenchFlags) -> None:
    """Measure latency, stages, memory and load time, beside the limits of the machine."""
    from tinysr import places
    from tinysr.benchmarks.latency import bench as run
    from tinysr.benchmarks.latency.judge import check_target, find_regressions
    from tinysr.benchmarks.rows import read_measured, write_measured
    from tinysr.benchmarks.timing import find_rules
    from tinysr.errors import GateError, UnsupportedError
    from tinysr.runtime.bundle import Bundle
    from tinysr.workflows.backends import choose_backends

    if flags.json is not None:
        places.check_file(flags.json, UnsupportedError)
    before = read_measured(flags.against) if flags.against else None
    opened = Bundle(flags.bundle)
    options = run.Options(rules=find_rules(flags.rules), threads=flags.threads, device=flags.device)
    wanted = run.find_contenders(
        opened, choose_backends(opened, flags.backend or ()), flags.precision or []
    )
    with show_progress() as tell:
        found = run.bench(opened, wanted, options, tell)
    if flags.target_ms is not None:
        found = found.model_copy(update={"target_ms": flags.target_ms})
    if flags.json is not None:
        write_measured(flags.json, found)
    print_measured(Output(), found)
    slower = find_regressions(found, before) if before else []
    if slower:
        raise GateError(f"slower than {flags.against}: {'; '.join(slower)}")
    if flags.target_ms is not None:
        check_target(found)


def print_measured(output: Output, found: BenchRun) -> None:
    """Print the table, and each row's stages with their limits."""
    side = found.side
    made = "" if found.scale is None else f" → {found.scale * side}×{found.scale * side}"
    output.line(style_text(found.model, "bold"), f", {side}×{side}{made}")
    output.line(f"{found.device.name}: {found.device.peaks.summary}")
    output.line()
    for names, cells in ((_TIMES, _times), (_COSTS, _costs)):  # one table would be too wide
        numbers = (Column(name=name, right=True) for name in names)
        table = Table(columns=[Column(name="backend"), *numbers])
        for row in found.rows:
            table.add(_name(row), *cells(row))
        output.table(table)
        output.line()
    stages = Table(
        columns=[Column(name=name) for name in ("backend", *_parts(found))],
        title="ms, and share of the limit",
        caption="– was not measured",
    )
    for row in found.rows:
        stages.add(_name(row), *(_stage(stage) for stage in row.stages))
    output.table(stages)
    output.line()
    for row in found.rows[1:]:
        if row.against:
            output.line(f"{_name(row)} takes {_ratio(row.against)} as long as the first row")
    output.line(
        f"Median of {found.rows[0].single.count} rounds after {found.rules.warmup} of warm-up, in "
        f"turns, seed {found.rules.seed}, rules {found.rules.name}; target {found.target_ms:g} ms"
    )


def _parts(found: BenchRun) -> list[str]:
    return [stage.name for stage in found.rows[0].stages]


def _name(row: Row) -> str:
    return f"{row.backend} {row.precision}" + ("" if row.parity == "pass" else f" ({row.parity})")


def _ratio(found: Ratio) -> str:
    return f"{found.median:.2f} times ({found.low:.2f} to {found.high:.2f})"


def _stage(stage: StageRow) -> str:
    share = stage.share_of_limit
    if share is not None:
        return f"{stage.ms:.2f}, {share:.0%} {stage.bound}"
    # A part that is not a graph has no limit; a graph's may be unknown.
    return f"{stage.ms:.2f}" + ("" if stage.tops is None else ", –")


def _times(row: Row) -> tuple[str, ...]:
    return (
        f"{row.single.p50:.1f} ± {row.single.spread / 2:.1f}",
        f"{row.single.p90:.1f}",
        f"{row.single.p99:.1f}",
        _number(row.offline, ".2f"),
    )


def _costs(row: Row) -> tuple[str, ...]:
    return (
        _number(row.first_ms, ".0f"),
        _number(row.load_s, ".2f"),
        _number(row.hash_s, ".2f"),
        _number(row.peak_mb, ".0f"),
        f"{row.bytes / 1e6:.1f}",
        _number(row.joules, ".1f"),
    )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
