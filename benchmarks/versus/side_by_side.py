"""Other ways to enlarge an image, and ours, measured in one run.

    python -m tinysr.benchmarks.versus.side_by_side bundles/tinysr-nano --json side-by-side.json

All contenders make the same image from the same input, in turns. Their peaks of memory are those
of a process each, which loads one contender and runs it twice. What a machine lacks is said, with
the reason, and left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tinysr.errors import CheckpointError, TinySRError, UnsupportedError
from tinysr.progress import Progress, ignore_progress
from tinysr.records import StrictRecord
from tinysr.runtime import Bundle
from tinysr.terminal import Output, program, run_child

from ..machine import peak_mb
from ..record import write_record
from ..timing import Latency, Ratio, Rules, compare_runs, find_rules, summarise, time_in_turns
from .others import OTHERS, open_contender

__all__ = ["BASE", "Side", "SideBySide", "main", "measure"]

BASE = "onnxruntime fp32"
"""Name of the row that the others are compared with."""


class Side(StrictRecord):
    """One contender."""

    name: str
    single: Latency | None
    """Null when it can't run here; ``reason`` says why."""
    speedup: Ratio | None
    """Factor by which it is faster than :data:`BASE`, of the same rounds."""
    peak_mb: float | None
    reason: str = ""


class SideBySide(StrictRecord):
    """All contenders of one run."""

    model: str
    side: int
    rules: Rules
    sides: tuple[Side, ...]


def measure(
    bundle: Path,
    rules: Rules,
    only: Sequence[str] = (),
    tell: Progress = ignore_progress,
    model: Path | None = None,
) -> SideBySide:
    """Measure all contenders, or some of them and the base.

    Args:
        bundle: the bundle's folder.
        rules: how often each runs.
        only: names of contenders; all if empty.
        tell: told how far it is.
        model: the checkpoint, when the bundle was made from none of the presets.

    Raises:
        CheckpointError: the model is another one than the bundle's.
        UnsupportedError: an unknown contender, or one whose process fails.
    """
    opened = Bundle(bundle)
    side = opened.manifest.tile
    names = [name for name in names_for(opened) if not only or name in (*only, BASE)]
    if unknown := set(only) - set(names):
        raise UnsupportedError(
            f"unknown contenders {sorted(unknown)}: expected {names_for(opened)}"
        )
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        tell("opening all", 0, 1)
        with ExitStack() as stack:
            calls, failed = _open_all(opened, names, plain, rules, stack=stack, model=model)
            seconds = time_in_turns(calls, rules, tell)
            calls.clear()
        peaks: dict[str, float | None] = {}
        for name in seconds:
            tell(f"memory of {name}", len(peaks), len(seconds))
            peaks[name] = _peak(bundle, name, plain, model)
    sides = tuple(_side(name, seconds, peaks, failed, rules) for name in names)
    return SideBySide(model=opened.manifest.source.name, side=side, rules=rules, sides=sides)


def names_for(bundle: Bundle) -> list[str]:
    """Return the contenders for a bundle: ours first."""
    own = dict.fromkeys(
        f"{_BACKENDS[a.target]} {a.precision}" for a in bundle.artifacts() if a.target in _BACKENDS
    )
    return [*own, *OTHERS]


_BACKENDS = {"onnx": "onnxruntime", "openvino": "openvino"}


def _open_all(
    bundle: Bundle,
    names: Sequence[str],
    plain: Path,
    rules: Rules,
    *,
    stack: ExitStack,
    model: Path | None,
) -> tuple[dict[str, Callable[[], Any]], dict[str, str]]:
    """Open contenders; return what runs each on the same image, and why others can't."""
    tile = bundle.manifest.tile
    image = np.random.default_rng(rules.seed).random((1, 3, tile, tile), np.float32)
    calls: dict[str, Callable[[], Any]] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            run = open_contender(bundle, name, plain, stack, model)
            run(image)
        except CheckpointError:  # not this machine's doing: nothing could be compared
            raise
        except (TinySRError, RuntimeError) as error:  # a compiler that is missing is one of these
            failed[name] = " ".join(str(error).split())[:200]
        else:
            calls[name] = _call(run, image)
    if BASE not in calls:
        raise UnsupportedError(f"the base of the comparison, {BASE}, can't run: {failed.get(BASE)}")
    return calls, failed


def _call(run: Callable[[Any], Any], image: Any) -> Callable[[], Any]:
    return lambda: run(image)


def _side(
    name: str,
    seconds: dict[str, list[float]],
    peaks: dict[str, float | None],
    failed: dict[str, str],
    rules: Rules,
) -> Side:
    if name in failed:
        return Side(name=name, single=None, speedup=None, peak_mb=None, reason=failed[name])
    return Side(
        name=name,
        single=summarise(seconds[name], rules.warmup),
        speedup=compare_runs(seconds[BASE], seconds[name]),
        peak_mb=peaks[name],
    )


def _peak(bundle: Path, name: str, plain: Path, model: Path | None) -> float | None:
    command = [sys.executable, "-m", "tinysr.benchmarks.versus.side_by_side", str(bundle)]
    words = [*command, "--one", name, "--plain", str(plain)]
    words += ["--model", str(model)] if model else []
    done = run_child(words)
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise UnsupportedError(f"{name}: {last}")
    said = done.stdout.splitlines()[-1]
    return None if said == "None" else float(said)


def _run_one(bundle: Path, name: str, plain: Path, model: Path | None) -> None:
    opened = Bundle(bundle)
    tile = opened.manifest.tile
    image = np.zeros((1, 3, tile, tile), np.float32)
    with ExitStack() as stack:
        run = open_contender(opened, name, plain, stack, model)
        run(image)
        run(image)
    Output().line(f"{peak_mb()}")


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a bundle and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.versus.side_by_side")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rules", default="full")
    parser.add_argument("--json", type=Path, help="a file for the measurement")
    parser.add_argument("--only", action="append", default=[], help="a contender")
    parser.add_argument("--model", type=Path, help="the checkpoint, if it was not a preset")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        _run_one(options.bundle, options.one, options.plain, options.model)
        return 0
    rules = find_rules(options.rules)
    found = measure(options.bundle, rules, options.only, model=options.model)
    if options.json is not None:
        write_record(options.json, found.model_dump(mode="json"))
    for side in found.sides:
        Output().line(line(side))
    return 0


def line(side: Side) -> str:
    """Return a contender in one line."""
    if side.single is None or side.speedup is None:
        return f"{side.name}: not measured ({side.reason})"
    memory = "not measured" if side.peak_mb is None else f"{side.peak_mb:.0f} MB"
    times = f"{side.speedup.median:.2f} ({side.speedup.low:.2f} to {side.speedup.high:.2f})"
    return (
        f"{side.name}: {side.single.p50:.1f} ± {side.single.spread / 2:.1f} ms, {times} times as "
        f"fast as {BASE}, peak {memory}"
    )


if __name__ == "__main__":
    sys.exit(main())
