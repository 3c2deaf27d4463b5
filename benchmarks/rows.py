"""Measurements as data: one row per device, backend, precision and commit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from tinysr.atomic import write_atomically
from tinysr.errors import UnsupportedError
from tinysr.records import StrictRecord

from .peaks import Peaks
from .timing import Latency, Ratio, Rules

__all__ = [
    "BenchRun",
    "Device",
    "Row",
    "StageRow",
    "find_row",
    "read_measured",
    "share_of",
    "write_measured",
]


def share_of(limit: float, took: float) -> float | None:
    """Return the share of a limit that was reached, 0 to 1.

    None where less time was taken than the limit allows: then it was not a limit, and a share of it
    means nothing.

    Args:
        limit: the least time that something could take.
        took: the time it took, in the same unit.
    """
    return limit / took if 0 < limit <= took else None


class Device(StrictRecord):
    """The machine that measured."""

    name: str
    kind: str
    """cpu, gpu or npu."""
    cpu: str
    cores: int
    system: str
    peaks: Peaks


class StageRow(StrictRecord):
    """Time of one part of an image, and the least that it could take."""

    name: str
    ms: float
    """Median."""
    spread: float
    """Interquartile range, in milliseconds."""
    limit_ms: float | None = None
    """The least time this machine could take; null for parts that are not graphs, and where the
    machine's peaks were not measured or are refuted."""
    refuted: bool = False
    """Whether the part took less than its limit, so that the peaks behind it are none."""
    unfused_ms: float | None = None
    """The time its memory takes if no two operations are joined."""
    tops: float | None = None
    """10¹² operations per second that were reached."""
    intensity: float | None = None
    """Operations per byte that has to be moved at least."""
    bound: str = ""
    """compute or memory: what that limit is."""

    @model_validator(mode="before")
    @classmethod
    def _drop_refuted_limit(cls, given: Any) -> Any:
        """Keep no limit that the part itself refutes, wherever the figures come from."""
        limit, took = (given.get(name) for name in ("limit_ms", "ms"))
        if not isinstance(limit, float) or not isinstance(took, float | int):
            return given
        if share_of(limit, took) is not None:
            return given
        return given | {"limit_ms": None, "unfused_ms": None, "bound": "", "refuted": True}

    @property
    def share_of_limit(self) -> float | None:
        """Share of the machine's limit that is used, 0 to 1; None if nobody knows."""
        return None if self.limit_ms is None else share_of(self.limit_ms, self.ms)


class Row(StrictRecord):
    """One backend and precision. A null was not measured."""

    backend: str
    precision: str
    single: Latency
    """One image of the tile's size at a time, end to end."""
    stages: tuple[StageRow, ...]
    offline: float | None
    """Images per second when all of them wait."""
    first_ms: float | None
    """The first image in a new process."""
    load_s: float | None
    """Seconds of opening the bundle in a new process, imports not included."""
    hash_s: float | None
    """The part of it that checks hashes."""
    read_mb: float | None
    """Data that opening read with system calls, 10⁶ bytes; what is mapped into memory is not in
    it."""
    peak_mb: float | None
    """Largest memory of a process that opened the bundle and made two images, 10⁶ bytes."""
    bytes: int
    """Size of graphs and weights."""
    joules: float | None
    """Energy of the processor for one image."""
    against: Ratio | None
    """Ratio of its time to that of the first row of the same run."""
    parity: str
    """The bundle's verdict on it: pass, fail or not run."""

    @property
    def share_of_limit(self) -> float | None:
        """Share of the machine's limit that an image uses, all stages together, 0 to 1.

        None if nobody knows: no stage has a limit, or one of them refutes its own.
        """
        if any(stage.refuted for stage in self.stages):
            return None
        limits = [stage.limit_ms for stage in self.stages if stage.limit_ms is not None]
        return share_of(sum(limits), self.single.p50)


class BenchRun(StrictRecord):
    """A run of `tinysr bench`."""

    schema_version: int = 1
    date: str
    commit: str
    device: Device
    model: str
    model_sha256: str
    side: int
    """Side of the low-resolution image, in pixels."""
    scale: int | None = None
    """Sides of the result over those of the image; None in a record of before it was kept."""
    rules: Rules
    target_ms: float
    rows: tuple[Row, ...]
    tools: dict[str, str]
    """Versions."""

    @property
    def best(self) -> Row:
        """The fastest row."""
        return min(self.rows, key=lambda row: row.single.p90)


def find_row(measured: BenchRun, backend: str, precision: str) -> Row | None:
    """Return a row, if it was measured."""
    rows: Iterable[Row] = measured.rows
    return next((r for r in rows if (r.backend, r.precision) == (backend, precision)), None)


def write_measured(path: Path, measured: BenchRun) -> None:
    """Write a run, whole or not at all.

    Raises:
        UnsupportedError: the file can't be written.
    """
    write_atomically(path, measured.model_dump_json(indent=1) + "\n", UnsupportedError)


def read_measured(path: Path) -> BenchRun:
    """Read a run.

    Raises:
        UnsupportedError: it is missing or no such file.
    """
    try:
        return BenchRun.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UnsupportedError(
            f"{path}: {error.strerror}; `tinysr bench --json` makes one"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise UnsupportedError(
            f"{path}: expected what `tinysr bench --json` writes, found at {place}: {first['msg']}"
        ) from error
