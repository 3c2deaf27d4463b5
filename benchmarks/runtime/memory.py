"""Memory that an image takes, beside the result itself, and how that grows.

    python -m tinysr.benchmarks.runtime.memory bundles/tinysr-nano

Each size runs in a process of its own, because the system counts a process's peak once. The
limit is for a result of 100 megapixels.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tinysr import paths
from tinysr.errors import UnsupportedError
from tinysr.runtime import Upscaler
from tinysr.terminal import Column, Output, Table, program, run_child

from ..record import write_record

__all__ = ["LARGEST", "LIMIT_MB", "Use", "main", "measure"]

LIMIT_MB = 1500.0
"""Limit of the peak memory beside a result of up to :data:`LARGEST`, in 10⁶ bytes."""

LARGEST = 100.0
"""Megapixels of the result up to which the limit holds."""

MEGAPIXELS = (1.0, 4.0, 16.0, 36.0, 64.0, LARGEST)

_STATUS = Path("/proc/self/status")
_PEAK = "VmHWM:"
"""The largest resident size the process ever had."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """One image, in a process of its own. Memory is in 10⁶ bytes."""

    megapixels: float
    """Size of the result, 8-bit RGB, in 10⁶ pixels."""
    peak_mb: float
    """Peak memory of the whole process, in 10⁶ bytes: Python, the libraries and the model
    included."""
    result_mb: float
    steps: int
    seconds: float

    @property
    def beside_mb(self) -> float:
        """The peak without the result."""
        return self.peak_mb - self.result_mb


def measure(bundle: str, megapixels: float) -> Use:
    """Upscale random pixels to a square of that size in a new process.

    Raises:
        UnsupportedError: the process failed; its last line says why.
    """
    command = [
        sys.executable,
        "-m",
        "tinysr.benchmarks.runtime.memory",
        bundle,
        "--one",
        str(megapixels),
    ]
    done = run_child(command)
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise UnsupportedError(f"{megapixels:g} megapixels: {last}")
    return Use(**json.loads(done.stdout))


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a bundle, print the table, and return 1 if a result takes too much."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.runtime.memory")
    parser.add_argument("bundle")
    parser.add_argument("--megapixels", type=float, nargs="+", default=MEGAPIXELS)
    parser.add_argument("--json", type=Path, help="a file for the measurement")
    parser.add_argument("--one", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one is not None:
        Output().write(json.dumps(asdict(_measure_here(options.bundle, options.one))))
        return 0
    uses = [measure(options.bundle, size) for size in options.megapixels]
    if options.json is not None:
        write_record(options.json, [asdict(use) for use in uses])
    _print(uses)
    held = [use for use in uses if use.megapixels <= LARGEST * 1.01]
    return int(max(use.beside_mb for use in held) > LIMIT_MB) if held else 0


def _measure_here(bundle: str, megapixels: float) -> Use:
    """Upscale in this process."""
    if not paths.exists(_STATUS, UnsupportedError):
        raise UnsupportedError(f"expected a system that counts peak memory in {_STATUS}")
    steps: list[int] = []
    start = time.perf_counter()
    with Upscaler(bundle, max_megapixels=math.inf) as upscaler:
        side = round(math.sqrt(megapixels * 1e6) / upscaler.scale)
        image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
        result = upscaler.upscale(image, lambda _, total: steps.append(total))
    return Use(
        megapixels=result.shape[0] * result.shape[1] / 1e6,
        peak_mb=_peak_mb(),
        result_mb=result.nbytes / 1e6,
        steps=steps[-1],
        seconds=time.perf_counter() - start,
    )


def _peak_mb() -> float:
    line = next(x for x in _STATUS.read_text().splitlines() if x.startswith(_PEAK))
    return int(line.split()[1]) * 1024 / 1e6


def _print(uses: Sequence[Use]) -> None:
    names = ("result, MP", "peak MB", "result MB", "beside it MB", "runs", "seconds")
    table = Table(
        columns=[Column(name=name, right=True) for name in names],
        caption=f"one process each, random pixels, 8-bit RGB; at most {LIMIT_MB:g} MB beside the "
        f"result up to {LARGEST:g} MP",
    )
    for use in uses:
        sizes = (use.megapixels, use.peak_mb, use.result_mb, use.beside_mb)
        numbers = [f"{size:.0f}" for size in sizes]
        table.add(*numbers, str(use.steps), f"{use.seconds:.1f}")
    Output().table(table)


if __name__ == "__main__":
    sys.exit(main())
