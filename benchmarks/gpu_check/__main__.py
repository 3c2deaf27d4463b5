"""The command: check bundles on this machine's GPU, and write one JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tinysr.atomic import write_atomically
from tinysr.errors import TinySRError, UnsupportedError, require
from tinysr.terminal import Output, program

__all__ = ["main"]

BUNDLES = (Path("bundles/tinysr-nano-fp16"), Path("bundles/tinysr-fp16"))
"""Bundles that `make trt` makes of the small and the paper's model."""


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.gpu_check")
    parser.add_argument("bundles", type=Path, nargs="*", default=list(BUNDLES))
    parser.add_argument("--precision", default="fp16")
    parser.add_argument("--model", type=Path, help="the checkpoint, if it was not a preset")
    parser.add_argument("--json", type=Path, default=Path("gpu-check.json"))
    words = parser.parse_args(arguments)
    require("torch", extra="models")  # before imports that take it for granted
    from .check import describe_machine  # noqa: PLC0415

    record = {
        "schema_version": 1,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe_machine(),
        "bundles": [_check(folder, words) for folder in words.bundles],
    }
    write_atomically(words.json, json.dumps(record, indent=1) + "\n", UnsupportedError)
    Output().line(f"Wrote {words.json}")
    return 0


def _check(folder: Path, words: argparse.Namespace) -> dict[str, object]:
    from .check import check_bundle  # noqa: PLC0415

    try:
        return check_bundle(folder, words.precision, Output(error=True).line, words.model)
    except TinySRError as error:
        return {"bundle": folder.name, "not_measured": " ".join(str(error).split())}


if __name__ == "__main__":
    sys.exit(main())
