"""Run the numeric tests as on other CPUs: under each cap of `isa_caps.py` that this one allows.

    python tests/isa.py                        # all caps
    python tests/isa.py --cap avx2 tests/test_openvino.py

Prints what each library really takes under a cap before its tests run. A cap of what this CPU
lacks is skipped, with the reason.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from isa_caps import CAPS, Cap, environment, missing, unable
from isa_report import report

__all__ = ["NO_NUMBERS", "main", "numeric_tests"]

TESTS = Path(__file__).parent

NO_NUMBERS = (
    "atomic*", "benchmarks_*", "cli", "cli_choices", "cli_doctor", "cli_inspect", "cli_modes",
    "cli_numbers", "cli_signals", "cli_upscale*", "docs", "export_tensorrt*", "files_*",
    "image_teachers", "isa", "models_accounting", "models_checkpoint*", "models_lora_*",
    "models_pickles", "models_source", "models_stand_ins", "nothing_leaves", "paths*", "progress",
    "quiet", "readme", "recipe_costs", "runtime_bundle", "runtime_cpp", "runtime_folder_*",
    "runtime_hashes", "runtime_imports", "runtime_pillow", "runtime_store", "runtime_tensorrt",
    "shipped_plans", "start_up", "tensorrt_rtx", "terminal_*", "training_photos", "user_cache",
)  # fmt: skip
"""Tests whose outcome no kernel of these libraries changes: files, words, and fake devices."""


def numeric_tests() -> list[str]:
    """Return all other files of tests: a new one is in, until somebody knows better."""
    left_out = {path for name in NO_NUMBERS for path in TESTS.glob(f"test_{name}.py")}
    return [str(path) for path in sorted(TESTS.glob("test_*.py")) if path not in left_out]


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
    parser = argparse.ArgumentParser(prog="python tests/isa.py", description=__doc__)
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


if __name__ == "__main__":
    sys.exit(main())
