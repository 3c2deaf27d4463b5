"""An item: one image on its way, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tinysr
from tinysr.errors import ImageError, TinySRError

from ..raster import Metadata, Raster
from ..result import Result
from .job import Job
from .log import MADE
from .output import STANDARD

__all__ = ["FAILED", "UP_TO_DATE", "Item", "locate_below"]

UP_TO_DATE = "up to date"
FAILED = "failed"


@dataclass(kw_only=True, slots=True)
class Item:
    """One image; each stage fills in what it finds."""

    job: Job
    seconds: float = 0.0
    """Seconds in the stages; what the image waited between them does not count."""
    expected_seconds: float | None = None
    """Seconds that a large image takes in the network and after it, roughly; None for others."""
    skipped: bool = False
    error: TinySRError | None = None
    before: tuple[int, int] | None = None
    after: tuple[int, int] | None = None
    """Width and height, in pixels; None where there is nothing to be made."""
    burden: float = 0.0
    """Megapixels of the largest image that is made on the way; 0 where nothing is to be made."""
    source_sha256: str | None = None
    settings: str | None = None
    target_sha256: str | None = None
    target_bytes: int | None = None
    announced_seconds: float | None = None
    """Seconds in the stages when the log had its line, before the file was in its place; None where
    it had none then."""
    unlogged: ImageError | None = None
    """Error of a log that took no line; None where it did."""
    file_format: str = ""
    notes: tuple[str, ...] = ()
    """Notes on what of the source is not in the result, and on what memory decided."""
    raster: Raster | None = None
    """Raster between reading and inference; None before and after."""
    metadata: Metadata = field(default_factory=Metadata)
    result: Result | None = None
    """Result between inference and writing; None before and after."""

    @property
    def status(self) -> str:
        """State of the image: made, up to date or failed."""
        if self.error is not None:
            return FAILED
        return UP_TO_DATE if self.skipped else MADE

    @property
    def megapixels(self) -> float:
        """Size of the result, in 10⁶ pixels."""
        return self.after[0] * self.after[1] / 1e6 if self.after else 0.0

    def record(self) -> dict[str, Any]:
        """Return the line of the log; paths are relative to the input and the output folder."""
        seconds = self.seconds if self.announced_seconds is None else self.announced_seconds
        return {
            "source": self.job.name,
            "page": self.job.page,
            "target": locate_below(self.job),
            "status": self.status,
            "error": None if self.error is None else " ".join(str(self.error).split()),
            "notes": list(self.notes),
            "source_size": self.before,
            "target_size": self.after,
            "source_sha256": self.source_sha256,
            "target_sha256": self.target_sha256,
            "target_bytes": self.target_bytes,
            "settings": self.settings,
            "seconds": round(seconds, 3),
            "tinysr": tinysr.__version__,
        }


def locate_below(job: Job) -> str:
    """Return the target below the output folder, with forward slashes."""
    if job.target is None:
        return STANDARD
    return job.target.relative_to(job.folder or job.target.parent).as_posix()
