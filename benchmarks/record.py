"""Measurements as files: what was measured, when, on what machine, with which versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

from tinysr import paths
from tinysr.atomic import write_atomically
from tinysr.errors import UnsupportedError

__all__ = ["RESULTS", "cpu_name", "describe_provenance", "read_record", "write_record"]

RESULTS = Path(__file__).parent / "results"
"""Folder of the measurements that the documents show."""

_CPU_INFO = Path("/proc/cpuinfo")
_TOOLS = ("tinysr", "onnxruntime", "numpy", "pyvips")


def write_record(path: Path, figures: Any) -> None:
    """Write a measurement.

    Args:
        path: the file; one that exists is replaced.
        figures: what was measured, in JSON's types.

    Raises:
        UnsupportedError: the file can't be written.
    """
    record = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "host": {"system": platform.system(), "cpu": cpu_name(), "cores": os.cpu_count()},
        "tools": {name: importlib.metadata.version(name) for name in _TOOLS},
        "figures": figures,
    }
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text, UnsupportedError)


def read_record(path: Path) -> dict[str, Any]:
    """Read a measurement.

    Raises:
        UnsupportedError: it is missing or no record.
    """
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnsupportedError(f"{path}: expected a measurement, as `make bench` makes") from error
    if not isinstance(record, dict) or not {"date", "host", "tools", "figures"} <= record.keys():
        raise UnsupportedError(f"{path}: expected a measurement, found other JSON")
    return record


def describe_provenance(record: dict[str, Any]) -> str:
    """Return where and when a record was measured, in words."""
    host = record["host"]
    return (
        f"{record['date']}, {host['cpu']}, {host['cores']} cores, {host['system']}, "
        f"ONNX Runtime {record['tools']['onnxruntime']}"
    )


def cpu_name() -> str:
    """Return what the processor calls itself."""
    if paths.exists(_CPU_INFO, UnsupportedError):
        for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
