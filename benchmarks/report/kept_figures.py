"""Figures of the documents that stand in committed measurements."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tinysr.errors import UnsupportedError
from tinysr.records import StrictRecord

from ..pruning import recoverability_report
from ..pruning.recoverability_report import Results
from ..record import RESULTS, describe_provenance, read_record
from ..versus import compare_report
from ..versus.compare import Comparison
from .documents import wrap_lines

__all__ = ["comparison_lines", "memory_lines", "recoverability_lines", "throughput_lines"]


Kept = TypeVar("Kept", bound=StrictRecord)


def _validate(kind: type[Kept], record: Mapping[str, Any], expected: str) -> Kept:
    """Return a record's figures as what they should be."""
    try:
        return kind.model_validate(record["figures"])
    except ValidationError as error:
        raise UnsupportedError(f"{expected}, found other JSON") from error


def comparison_lines(file: Path = RESULTS / "precisions.json") -> list[str]:
    """Return the table of all precisions, from what `tinysr compare` measured."""
    record = read_record(file)
    found = _validate(Comparison, record, f"{file}: expected what `tinysr compare -o` writes")
    return [*compare_report.markdown_lines(found), *wrap_lines(f"({describe_provenance(record)}.)")]


def recoverability_lines(file: Path = RESULTS / "recoverability.json") -> list[str]:
    """Return the tables of what pruning leaves, from what `make recoverability` measured."""
    record = read_record(file)
    found = _validate(Results, record, f"{file}: expected what `make recoverability` writes")
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
