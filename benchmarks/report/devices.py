"""Devices: those we want figures of, and the figures that were committed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tinysr import paths
from tinysr.errors import UnsupportedError
from tinysr.records import StrictRecord

from ..record import RESULTS
from ..rows import BenchRun, read_measured

__all__ = ["DEVICES", "Wanted", "read_measured_runs", "read_wanted", "result_path"]

DEVICES = Path(__file__).parent / "devices.toml"

_PREFIX = "bench-"


class Wanted(StrictRecord):
    """A device that we want figures of."""

    name: str
    kind: Literal["cpu", "gpu", "npu"]
    target_ms: float
    """Milliseconds to aim at, for one image of 128×128 to 512×512."""
    tops: dict[str, float] = {}  # noqa: RUF012  pydantic copies defaults
    """Its peaks by precision, 10¹² operations per second, where its maker states them."""
    gbps: float | None = None
    note: str = ""


def read_wanted(path: Path = DEVICES) -> tuple[Wanted, ...]:
    """Return the list.

    Raises:
        UnsupportedError: it can't be read, or names a device twice.
    """
    try:
        with path.open("rb") as file:
            found = tuple(Wanted.model_validate(entry) for entry in tomllib.load(file)["device"])
    except (OSError, KeyError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise UnsupportedError(f"{path}: expected a list of devices, found {error}") from error
    names = [device.name for device in found]
    if len(set(names)) != len(names):
        raise UnsupportedError(f"{path}: expected each device once, found {sorted(names)}")
    return found


def result_path(device: str, model: str, folder: Path = RESULTS) -> Path:
    """Return where the figures of a device and model belong."""
    name = "".join(c if c.isalnum() else "-" for c in f"{device} {model}".lower())
    return folder / f"{_PREFIX}{'-'.join(filter(None, name.split('-')))}.json"


def read_measured_runs(folder: Path = RESULTS) -> tuple[BenchRun, ...]:
    """Return all runs that lie in a folder, in the order of their names.

    Raises:
        UnsupportedError: one is damaged.
    """
    found = paths.find_matching(folder, f"{_PREFIX}*.json", UnsupportedError)
    return tuple(read_measured(path) for path in found)
