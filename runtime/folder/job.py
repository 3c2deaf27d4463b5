"""A job: one image to be made, and from what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Job"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One image to be made."""

    source: Path | None
    """None is standard input."""
    target: Path | None
    """None is standard output."""
    folder: Path | None = None
    """The output folder, which has the log; None where a file was named."""
    name: str
    """The source below its input folder, with forward slashes."""
    file_format: str | None = None
    """Format that was asked for where no suffix says it; None is the input's own."""
    page: int | None = None
    """Page or frame of a source that has several, from 1; None for the only one, or the one that
    the settings name."""
    problem: str | None = None
    """Reason why the image can't be read, where that is known before."""

    def __str__(self) -> str:
        name = "standard input" if self.source is None else str(self.source)
        return name if self.page is None else f"{name}, page {self.page}"
