"""Figures of the documents that stand in committed measurements."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from tinysr.errors import UnsupportedError
from tinysr.records import StrictRecord

from ..pruning import recoverability_report
from ..pruning.recoverability_report import Results
from ..record import RESULTS, describe_provenance, read_record
from ..runtime.statistics import KEPT, Compared
from ..versus import compare_report
from ..versus.compare import Comparison
from .documents import wrap_lines

__all__ = [
    "comparison_lines",
    "memory_lines",
    "read_figures",
    "recoverability_lines",
    "statistics_lines",
    "throughput_lines",
]


Kept = TypeVar("Kept", bound=StrictRecord)


def read_figures(kind: type[Kept], file: Path, command: str) -> Kept:
    """Return a record's figures as what a command writes.

    Raises:
        UnsupportedError: the file has others, or is missing.
    """
    try:
        return kind.model_validate(read_record(file)["figures"])
    except ValidationError as error:
        raise UnsupportedError(
            f"{file}: expected what `{command}` writes, found other JSON"
        ) from error


def comparison_lines(file: Path = RESULTS / "precisions.json") -> list[str]:
    """Return the table of all precisions, from what `tinysr compare` measured."""
    found, record = read_figures(Comparison, file, "tinysr compare -o"), read_record(file)
    return [*compare_report.markdown_lines(found), *wrap_lines(f"({describe_provenance(record)}.)")]


def recoverability_lines(file: Path = RESULTS / "recoverability.json") -> list[str]:
    """Return the tables of what pruning leaves, from what `make recoverability` measured."""
    found, record = read_figures(Results, file, "make recoverability"), read_record(file)
    return [
        *recoverability_report.markdown_lines(found),
        "",
        *wrap_lines(f"({describe_provenance(record)}.)"),
    ]


def memory_lines() -> list[str]:
    """Return the table of the memory that results of several sizes took."""
    record = read_record(RESULTS / "memory.json")
    rows = [
        f"| {use['megapixels']:.0f} | {use['result_mb']:.0f} | "
        f"{use['peak_mb'] - use['result_mb']:.0f} | {use['steps']} |"
        for use in record["figures"]
    ]
    return [
        "| result, megapixels | its own size, MB | peak beside it, MB | runs of a graph |",
        "|---|---|---|---|",
        *rows,
        "",
        *wrap_lines(f"({describe_provenance(record)}; `tinysr-nano`, 8-bit RGB, one process each, "
                  "with all that Python and the libraries take.)"),
    ]  # fmt: skip


def statistics_lines() -> list[str]:
    """Return the table of ways to decode a large image, from what was measured of one."""
    found = read_figures(Compared, KEPT, "python -m tinysr.benchmarks.runtime.statistics adcsr")
    rows = [
        f"| {way.name} | {way.seconds:.1f} | {way.measuring:.1f} | {way.runs} | "
        f"{'' if way.psnr_db is None else f'{way.psnr_db:.1f}'} | "
        f"{'yes' if way.same_bits else ''} |"
        for way in found.ways
    ]
    return [
        f"| decoder of `{found.model}`, {found.megapixels:.1f} megapixels | s | measuring, s | "
        "runs | dB from the whole | bit for bit the whole of these statistics |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        *wrap_lines(f"({describe_provenance(read_record(KEPT))}.)"),
    ]


def throughput_lines() -> list[str]:
    """Return what a folder's speed is of that of inference alone."""
    record = read_record(RESULTS / "throughput.json")
    found = record["figures"]
    return wrap_lines(
        f"A folder of {found['photos']} photos runs at {found['share']:.1%} of the speed of "
        f"inference alone ({found['lowest']:.1%} to {found['highest']:.1%} in {found['repeats']} "
        f"pairs): {found['megapixels'] / found['folder']:.2f} megapixels of results per second, "
        "reading, hashing, writing and colour fix included. "
        f"({describe_provenance(record)}; `tinysr-nano`; `make bench` measures it.)"
    )
