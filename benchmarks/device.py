"""One command for one machine: all figures of a bundle, in files to commit.

python -m tinysr.benchmarks.device bundles/tinysr-nano --device "My laptop"
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tinysr.errors import UnsupportedError
from tinysr.progress import Progress, ignore_progress, show_progress
from tinysr.runtime import Bundle
from tinysr.runtime.registry import BACKENDS
from tinysr.terminal import Output, program

from .latency.bench import Options, bench, find_contenders
from .latency.growth import measure as measure_growth
from .record import RESULTS, write_record
from .report.devices import result_path
from .rows import write_measured
from .timing import find_rules
from .versus.side_by_side import measure as measure_sides

__all__ = ["main", "measure_device"]


def measure_device(
    folder: Path,
    device: str,
    rules: str,
    results: Path,
    *,
    growth: bool,
    sides: bool,
    tell: Progress = ignore_progress,
) -> list[Path]:
    """Measure a bundle on this machine; return the files that were written.

    Raises:
        TinySRError: nothing of it runs here, or a process failed.
    """
    bundle = Bundle(folder)
    here = [b for kind in BACKENDS if not kind.reference and (b := kind()).status().ready]
    wanted = find_contenders(bundle, here)
    if not wanted:
        raise UnsupportedError(f"{folder}: nothing of it runs here; see `tinysr doctor`")
    found = bench(bundle, wanted, Options(rules=find_rules(rules), device=device), tell)
    name, model = found.device.name, found.model
    written = [result_path(name, model, results)]
    write_measured(written[0], found)
    stem = written[0].name.removeprefix("bench-")
    if sides:
        written.append(results / f"side-by-side-{stem}")
        compared = measure_sides(folder, find_rules(rules), tell=tell)
        write_record(written[-1], compared.model_dump(mode="json"))
    if growth:
        written.append(results / f"growth-{stem}")
        grown = measure_growth(str(folder), tell=tell)
        write_record(written[-1], grown.model_dump(mode="json"))
    return written


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and say what to commit; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.device")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--device", default="", help="a name  [default: the processor's]")
    parser.add_argument("--rules", default="full")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--growth", action="store_true", help="measure up to 64 megapixels, too")
    parser.add_argument("--no-sides", action="store_true", help="leave the comparison out")
    options = parser.parse_args(arguments)
    with show_progress() as tell:
        written = measure_device(
            options.bundle, options.device, options.rules, options.results,
            growth=options.growth, sides=not options.no_sides, tell=tell,
        )  # fmt: skip
    for path in written:
        Output().line(f"commit {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
