"""Record of a search: what was tried, what it cost, and how far it is from the teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from tinysr.atomic import write_atomically
from tinysr.errors import UnsupportedError
from tinysr.records import StrictRecord

__all__ = ["SearchRecord", "TrialRecord", "read_record", "write_record"]

_FILE = "search.json"


class TrialRecord(StrictRecord):
    """A candidate that was measured."""

    dropped: tuple[str, ...]
    """Names of the teacher's parts that it lacks."""
    cost: float
    """Cost over the teacher's."""
    distance: float
    """Mean squared difference of features from the teacher's, over their variance."""


class SearchRecord(StrictRecord):
    """A whole search; what stands before the trials must be equal for one to go on."""

    version: Literal[1] = 1
    model_sha256: str
    seed: int
    tile: int
    measure: Literal["products", "latency"]
    limit: Literal["cost", "distance"]
    """Number that must stay below epsilon; the other is minimised."""
    epsilon: float = Field(gt=0)
    trials: tuple[TrialRecord, ...] = ()

    @property
    def best(self) -> TrialRecord | None:
        """The best candidate that keeps the limit; None if none does."""
        aim = "distance" if self.limit == "cost" else "cost"
        kept = [trial for trial in self.trials if getattr(trial, self.limit) <= self.epsilon]
        return min(kept, key=lambda trial: getattr(trial, aim)) if kept else None


def read_record(folder: Path, fresh: SearchRecord) -> SearchRecord:
    """Return the search that a folder holds, or a fresh one.

    Raises:
        UnsupportedError: the file is damaged, or is of another search.
    """
    path = folder / _FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return fresh
    except (OSError, ValueError) as error:
        raise UnsupportedError(f"{path}: can't be read: {error}") from error
    try:
        found = SearchRecord.model_validate_json(text)
    except ValidationError as error:
        raise UnsupportedError(
            f"{path}: expected the record of a search, found another file: choose another folder"
        ) from error
    if found.model_copy(update={"trials": ()}) != fresh:
        raise UnsupportedError(
            f"{path}: expected the same model, seed, tile, measure and limit, found a search with "
            f"others: choose another folder"
        )
    return found


def write_record(folder: Path, record: SearchRecord) -> None:
    """Write a search to its folder, atomically.

    Raises:
        UnsupportedError: it can't be written.
    """
    write_atomically(folder / _FILE, record.model_dump_json(indent=1) + "\n", UnsupportedError)
