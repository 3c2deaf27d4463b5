"""The paper's own table of speeds and costs, and how it is read from the paper's text.

    python -m tinysr.benchmarks.report.paper paper.txt

writes ``paper.csv`` anew from the text: its first table with times, in the form of Markdown.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from tinysr.atomic import write_atomically
from tinysr.errors import UnsupportedError
from tinysr.records import StrictRecord
from tinysr.terminal import program

__all__ = ["PAPER", "PaperRow", "main", "paper_rows", "parse"]

PAPER = Path(__file__).parent / "paper.csv"

_COLUMNS = ("Method", "#Steps", "Time (s)", "MACs (G)", "#Param. (M)")

_OWN = "Ours"


class PaperRow(StrictRecord):
    """One method, for an image of 128×128 to 512×512 on an NVIDIA V100."""

    method: str
    steps: int
    seconds: float
    macs_g: float
    parameters_m: float


def paper_rows(path: Path = PAPER) -> tuple[PaperRow, ...]:
    """Return the table."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(PaperRow.model_validate(row) for row in csv.DictReader(file))


def parse(text: str) -> tuple[PaperRow, ...]:
    """Return the table that a paper's text has.

    Raises:
        UnsupportedError: there is none with the columns it takes.
    """
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()]
    for number, head in enumerate(rows):
        if not set(_COLUMNS) <= set(head):
            continue
        places = [head.index(column) for column in _COLUMNS]
        found = []
        for row in rows[number + 1 :]:
            if len(row) != len(head):
                break
            found.append(_row([row[place] for place in places]))
        return tuple(found)
    raise UnsupportedError(f"expected a table with the columns {', '.join(_COLUMNS)}, found none")


def _row(cells: Sequence[str]) -> PaperRow:
    method, steps, seconds, macs, parameters = cells
    return PaperRow(
        method="TinySR" if method == _OWN else method,
        steps=int(steps),
        seconds=float(seconds),
        macs_g=float(macs),
        parameters_m=float(parameters),
    )


@program
def main(arguments: Sequence[str]) -> int:
    """Write the table from a text; return the exit code."""
    (source,) = arguments
    file = io.StringIO()
    writer = csv.DictWriter(file, list(PaperRow.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in parse(Path(source).read_text(encoding="utf-8")))
    write_atomically(PAPER, file.getvalue(), UnsupportedError)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
