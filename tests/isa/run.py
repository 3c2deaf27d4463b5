"""Run the numeric tests as on other CPUs: under each cap of `caps.py` that this one allows.

    python -m tests.isa                        # all caps
    python -m tests.isa --cap avx2 tests/export/openvino

Prints what each library really takes under a cap before its tests run. A cap of what this CPU
lacks is skipped, with the reason.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.isa.caps import CAPS, Cap, environment, missing, unable
from tests.isa.report import report

__all__ = ["NO_NUMBERS", "main", "numeric_tests"]

TESTS = Path(__file__).parents[1]

NO_NUMBERS = (
    "test_atomic.py", "test_paths*.py", "test_progress.py", "test_quiet.py", "test_user_cache.py",
    "benchmarks/gpu_check", "benchmarks/latency", "benchmarks/pruning", "benchmarks/report",
    "benchmarks/runtime", "calibration/test_shipped.py", "cli/test_[!c]*.py", "cli/test_choices.py",
    "export/tensorrt", "house", "isa", "models/checkpoints", "models/test_accounting.py",
    "models/test_source.py", "runtime/cpp", "runtime/files", "runtime/folder", "runtime/metadata",
    "runtime/tensorrt/test_backend.py", "runtime/test_bundle.py", "runtime/test_hashes.py",
    "runtime/test_imports.py", "runtime/test_pillow.py", "runtime/test_store.py", "terminal",
    "training/image_teachers/test_released.py", "training/test_photos.py",
)  # fmt: skip
"""Tests whose outcome no kernel of these libraries changes: files, words, and fake devices.

Files and folders below `tests`."""


def numeric_tests() -> list[str]:
    """Return all other files of tests: a new one is in, until somebody knows better."""
    left_out = {found for pattern in NO_NUMBERS for found in TESTS.glob(pattern)}
    files = sorted(TESTS.rglob("test_*.py"))
    return [str(path) for path in files if left_out.isdisjoint({path, *path.parents})]


def run(cap: Cap, arguments: Sequence[str]) -> int | None:
    """Run tests under a cap; return pytest's exit code, None if the CPU lacks what it leaves."""
    if lacking := missing(cap):
        say(f"{cap.name}: skipped: this CPU has no {', '.join(lacking)}")
        return None
    if reason := unable():
        say(f"{cap.name}: {reason}: by the libraries' settings, and ONNX Runtime has none")
    capped = environment(cap)
    say(f"{cap.name}: what the libraries take")
    for library, taken in report(capped).items():
        say(f"  {library}: {taken}")
    command = [sys.executable, "-m", "pytest", "-n", "auto", "--dist", "loadfile", *arguments]
    return subprocess.run(command, env=capped | {"OMP_NUM_THREADS": "1"}, check=False).returncode  # noqa: S603


def say(line: str) -> None:
    """Print a line before whatever a process of its own prints."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all caps; return 1 if tests failed under one, 3 if this machine can run none."""
    parser = argparse.ArgumentParser(prog="python -m tests.isa", description=__doc__)
    names = [cap.name for cap in CAPS]
    parser.add_argument("--cap", action="append", choices=names, help="repeat for several")
    options, rest = parser.parse_known_args(arguments)
    wanted = [cap for cap in CAPS if cap.name in (options.cap or names)]
    codes = {cap.name: run(cap, rest or numeric_tests()) for cap in wanted}
    for name, code in codes.items():
        say(f"{name}: {'skipped' if code is None else 'failed' if code else 'passed'}")
    if not any(code is not None for code in codes.values()):
        return 3
    return int(any(codes.values()))
