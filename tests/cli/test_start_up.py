"""Start-up: what a user waits for before anything happens."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

LIMIT = 0.4
"""Seconds of `tinysr --help`."""


def processor_seconds(*command: str) -> float:
    """Run a command; return what it took of a processor, whatever else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_is_there_at_once() -> None:
    command = (sys.executable, "-c", "from tinysr.cli import main; main()", "--help")
    assert min(processor_seconds(*command) for _ in range(5)) < LIMIT


@pytest.mark.parametrize("package", ["torch", "openvino", "matplotlib", "onnx"])
def test_help_loads_nothing_heavy(package: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
sys.argv = ["tinysr", "--help"]
from tinysr.cli import main
main()
"""
    processor_seconds(sys.executable, "-c", code)
