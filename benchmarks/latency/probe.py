"""Measurements in a new process: load time, the first image, and the peak of memory.

python -m tinysr.benchmarks.latency.probe bundles/tinysr-nano openvino bf16 128
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tinysr import paths
from tinysr.errors import UnsupportedError
from tinysr.records import StrictRecord
from tinysr.runtime import Upscaler, hashes
from tinysr.terminal import Output, program, run_child

from ..machine import peak_mb
from .stages import photo_like

__all__ = ["Probe", "main", "probe"]

_IO = Path("/proc/self/io")
_READ = "rchar:"


class Probe(StrictRecord):
    """One process that opened a bundle and made two images."""

    load_s: float
    hash_s: float
    read_mb: float | None
    first_ms: float
    peak_mb: float | None


def probe(
    bundle: Path, backend: str, precision: str, side: int, threads: int | None = None
) -> Probe:
    """Open a bundle in a new process, and upscale an image of ``side``² pixels twice.

    Raises:
        UnsupportedError: the process failed; its last line says why.
    """
    words = [str(bundle), backend, precision, str(side), *([str(threads)] if threads else [])]
    command = [sys.executable, "-m", "tinysr.benchmarks.latency.probe", *words]
    done = run_child(command)
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise UnsupportedError(f"{backend} {precision}: {last.removeprefix('error: ')}")
    return Probe.model_validate_json(done.stdout.splitlines()[-1])


@program
def main(arguments: Sequence[str]) -> int:
    """Measure in this process; return the exit code."""
    folder, backend, precision, side, *threads = arguments
    found = _measure_here(
        folder, backend, precision, int(side), int(threads[0]) if threads else None
    )
    Output().write(json.dumps(found.model_dump()))
    return 0


def _measure_here(
    folder: str, backend: str, precision: str, side: int, threads: int | None
) -> Probe:
    with _time_hashing() as hashed:
        before, start = _read_bytes(), time.perf_counter()
        upscaler = Upscaler(folder, backend=backend, precision=precision, threads=threads)
        load, after = time.perf_counter() - start, _read_bytes()
    with upscaler:
        image = photo_like(side, seed=0)
        start = time.perf_counter()
        upscaler.upscale(image)
        first = time.perf_counter() - start
        upscaler.upscale(image)
    return Probe(
        load_s=load,
        hash_s=sum(hashed),
        read_mb=None if before is None or after is None else (after - before) / 1e6,
        first_ms=first * 1e3,
        peak_mb=peak_mb(),
    )


@contextmanager
def _time_hashing() -> Iterator[list[float]]:
    """Note what every check of a hash takes."""
    own = hashes.look_up_sha256
    seconds: list[float] = []

    def time_hash(path: Path) -> str:
        start = time.perf_counter()
        digest = own(path)
        seconds.append(time.perf_counter() - start)
        return digest

    hashes.look_up_sha256 = time_hash
    try:
        yield seconds
    finally:
        hashes.look_up_sha256 = own


def _read_bytes() -> int | None:
    """Return what this process has read with system calls; None where nobody counts."""
    if not paths.exists(_IO, UnsupportedError):
        return None
    line = next(x for x in _IO.read_text().splitlines() if x.startswith(_READ))
    return int(line.split()[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
