"""All committed figures as one table, two plots and a page that needs nothing but itself.

python -m tinysr.benchmarks.report -o build/bench
"""

from __future__ import annotations

import argparse
import base64
import textwrap
from collections.abc import Sequence
from pathlib import Path

from tinysr import paths
from tinysr.atomic import write_atomically
from tinysr.errors import UnsupportedError
from tinysr.pages import page
from tinysr.terminal import Output, program

from ..latency.growth import Growth
from ..record import RESULTS, describe_provenance, read_record
from ..rows import BenchRun, Row
from ..versus.side_by_side import SideBySide, line
from .devices import read_measured_runs, read_wanted
from .documents import fill_documents
from .paper import PaperRow, paper_rows
from .plots import draw_growth, draw_latency, draw_roofline

__all__ = ["HEAD", "device_lines", "main", "side_lines", "write_report"]

HEAD = (
    "device",
    "model",
    "backend",
    "p50 ms",
    "p90 ms",
    "of the target",
    "of the limit",
    "peak MB",
)

PAGE, LATENCY, TABLE = "bench.html", "latency.png", "bench.md"

_MISSING = "not measured"


def device_lines(folder: Path = RESULTS) -> list[str]:
    """Return the table of all devices as Markdown; where nobody measured, it says so."""
    rows = [f"| {' | '.join(cells)} |" for cells in _table(read_measured_runs(folder))]
    said = [_describe(run) for run in read_measured_runs(folder)]
    text = (
        " ".join(said) + " Times are of one 128×128 image, end to end; *of the limit* is the share "
    )
    text += "of what the machine's own peaks allow, all stages together."
    return [
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        *rows,
        "",
        *textwrap.wrap(text, 100, break_on_hyphens=False, break_long_words=False),
    ]


def side_lines(path: Path) -> list[str]:
    """Return a comparison with other ways as a list, and where it was measured."""
    record = read_record(path)
    found = SideBySide.model_validate(record["figures"])
    lines = [wrapped for side in found.sides for wrapped in textwrap.wrap(
        f"- {line(side)}", 100, subsequent_indent="  ", break_on_hyphens=False)]  # fmt: skip
    rounds = next(side.single.count for side in found.sides if side.single)
    text = f"({describe_provenance(record)}; `{found.model}`, {rounds} rounds in turns.)"
    return [*lines, "", *textwrap.wrap(text, 100)]


def write_report(folder: Path, results: Path = RESULTS) -> Path:
    """Write the table, the plots and the page; return the page's path.

    Raises:
        UnsupportedError: nothing was measured, or a file is damaged.
    """
    runs = read_measured_runs(results)
    if not runs:
        raise UnsupportedError(
            f"{results}: expected a measured device, found none: `make bench-device`"
        )
    target = runs[0].target_ms
    plots = {"latency": draw_latency(runs, target)}
    for run in runs:
        plots[f"roofline, {run.model} on {run.device.name}"] = draw_roofline(run)
    for path in paths.find_matching(results, "growth-*.json", UnsupportedError):
        plots[path.stem] = draw_growth(Growth.model_validate(read_record(path)["figures"]))
    write_atomically(folder / LATENCY, plots["latency"], UnsupportedError)
    for number, run in enumerate(runs):
        write_atomically(folder / f"roofline-{number}.png", draw_roofline(run), UnsupportedError)
    write_atomically(folder / TABLE, "\n".join(device_lines(results)) + "\n", UnsupportedError)
    values = {
        "head": HEAD,
        "rows": _table(runs),
        "said": [_describe(run) for run in runs],
        "paper": [_paper_cells(row) for row in paper_rows()],
        "sides": [
            text
            for path in paths.find_matching(results, "side-by-side-*.json", UnsupportedError)
            for text in side_lines(path)
        ],
        "plots": {name: base64.b64encode(png).decode() for name, png in plots.items()},
    }
    text = page("tinysr.benchmarks.report", "bench.html.j2", values, extra="bench")
    write_atomically(folder / PAGE, text, UnsupportedError)
    return folder / PAGE


def _table(runs: Sequence[BenchRun]) -> list[tuple[str, ...]]:
    measured = {run.device.name for run in runs}
    rows = [_cells(run, row) for run in runs for row in run.rows]
    absent = [device.name for device in read_wanted() if device.name not in measured]
    return rows + [(name, *(_MISSING,) * (len(HEAD) - 1)) for name in absent]


def _cells(run: BenchRun, row: Row) -> tuple[str, ...]:
    share = row.share_of_limit
    peak = _MISSING if row.peak_mb is None else f"{row.peak_mb:.0f}"
    return (
        run.device.name,
        run.model,
        f"{row.backend} {row.precision}",
        f"{row.single.p50:.1f} ± {row.single.spread / 2:.1f}",
        f"{row.single.p90:.1f}",
        f"{row.single.p90 / run.target_ms:.1f}×",
        _MISSING if share is None else f"{share:.0%}",
        peak,
    )


def _describe(run: BenchRun) -> str:
    tools = ", ".join(
        f"{name} {run.tools[name]}" for name in ("onnxruntime", "openvino") if name in run.tools
    )
    rounds = run.rows[0].single.count
    return (
        f"{run.model} on {run.device.name}: {run.date}, commit {run.commit or 'unknown'}, {tools}, "
        f"{rounds} rounds in turns after {run.rules.warmup} of warm-up, rules {run.rules.name}; "
        f"target {run.target_ms:g} ms{_unknown_limits(run)}."
    )


def _unknown_limits(run: BenchRun) -> str:
    if not run.rules.peaks:
        return "; these rules measure no peaks"
    if types := run.device.peaks.exceeded:
        return f"; a stage exceeded the peak of {', '.join(types)}, so that its limit is not known"
    return ""


def _paper_cells(row: PaperRow) -> tuple[str, ...]:
    return (
        row.method,
        str(row.steps),
        f"{row.seconds:g}",
        f"{row.macs_g:g}",
        f"{row.parameters_m:g}",
    )


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.report")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/bench"))
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder of figures")
    parser.add_argument(
        "--documents", type=Path, help="the project's folder, whose documents get the table"
    )
    options = parser.parse_args(arguments)
    path = write_report(options.output, options.results)
    if options.documents is not None:
        fill_documents(options.documents, {"devices": device_lines(options.results)})
    Output().write("\n".join(device_lines(options.results)) + f"\n\nreport: {path}")
    return 0
