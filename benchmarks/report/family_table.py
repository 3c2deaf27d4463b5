"""Table of all families: verdicts by target and precision, and costs beside the papers'.

    python -m tinysr.benchmarks.report.family_table

writes the tables into the page of families.
"""

from __future__ import annotations

import sys
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from tinysr.errors import UnsupportedError
from tinysr.models import FAMILIES
from tinysr.records import StrictRecord
from tinysr.terminal import Output, program

from ..record import RESULTS, describe_provenance, read_record
from .documents import ROOT, fill_documents, wrap_lines
from .family_costs import DEVICE, count_presets, find_limits
from .kept_figures import statistics_lines

__all__ = ["VERDICTS", "Cell", "State", "main", "preset_lines", "verdict_lines"]

VERDICTS = RESULTS / "families.json"
"""Record of the verdicts, which `make families` writes."""


State = Literal["pass", "fail", "built", "refused"]
"""State of graphs: gates passed or failed, built where nothing runs them, or refused."""


class Cell(StrictRecord):
    """Verdict on one family's small model, in one target and precision."""

    result: State
    worst_db: float | None = None
    """Lowest PSNR of all stages and images."""
    note: str = ""
    """Reason of a refusal."""


_KEPT = TypeAdapter(dict[str, dict[str, Cell]])


def verdict_lines() -> list[str]:
    """Return the table of verdicts, from what `make families` measured.

    Raises:
        UnsupportedError: the record is missing, or is another one.
    """
    record = read_record(VERDICTS)
    try:
        found = _KEPT.validate_python(record["figures"])
    except ValidationError as error:
        raise UnsupportedError(
            f"{VERDICTS}: expected what `make families` writes, found other JSON"
        ) from error
    columns = list(dict.fromkeys(name for cells in found.values() for name in cells))
    rows: list[str] = []
    notes: list[str] = []
    for family in (family.name for family in FAMILIES):
        cells = found.get(family, {})
        told = []
        for name in columns:
            cell = cells.get(name)
            told.append("not run" if cell is None else _tell(cell, len(notes) + 1))
            if cell is not None and cell.result == "refused":
                notes.append(f"{len(notes) + 1}. {family}, {name}: {cell.note}")
        rows.append(f"| `{family}` | {' | '.join(told)} |")
    listed = [line for note in notes for line in wrap_lines(note, "   ")]
    return [
        f"| family | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
        *rows,
        *(["", *listed] if listed else []),
        "",
        *wrap_lines(f"({describe_provenance(record)}.)"),
    ]


def preset_lines() -> list[str]:
    """Return the table of every preset's costs, counted here and published."""
    limits = find_limits(DEVICE)
    rows = []
    for cost in count_presets(limits):
        published = " / ".join(
            "–" if number is None else f"{number:g}"
            for number in (cost.published_parameters, cost.published_macs)
        )
        rows.append(
            f"| `{cost.preset}` | {cost.trained:.2f} | {cost.exported:.2f} | {cost.macs:.1f} | "
            f"{cost.attention:.1f} | {published} | {cost.megabytes:.0f} | {cost.bound_ms:.2f} | "
            f"{cost.licence}{'; published, but ' + cost.note if cost.note else ''} |"
        )
    return [
        "| preset | parameters, M | exported, M | products, G | attention, G | published, M / G | "
        f"fp16, MB | bound on {limits.name}, ms | licence, and notes |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def _tell(cell: Cell, note: int) -> str:
    if cell.result == "refused":
        return f"refused [{note}]"
    if cell.result == "built":
        return "built"
    found = "equal" if cell.worst_db is None else f"{cell.worst_db:.1f} dB"
    return found if cell.result == "pass" else f"fails, {found}"


@program
def main() -> int:
    """Write the tables into the pages."""
    figures = {
        "verdicts": verdict_lines(),
        "families": preset_lines(),
        "statistics": statistics_lines(),
    }
    changed = fill_documents(ROOT, figures)
    Output().line(f"Wrote the tables in {', '.join(map(str, changed))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
