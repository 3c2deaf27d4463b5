"""A bundle's backends and precisions on this machine: latency, memory, load time, and limits."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tinysr.errors import BundleError
from tinysr.manifest import Artifact
from tinysr.progress import Progress, ignore_progress
from tinysr.runtime import Bundle, Upscaler, create
from tinysr.runtime.session import Backend
from tinysr.stages import StageName
from tinysr.versions import find_versions

from ..machine import read_commit
from ..peaks import UNMEASURED, Peaks, measure_peaks
from ..record import cpu_name
from ..rows import BenchRun, Device, Row
from ..timing import FULL, Latency, Ratio, Rules, compare_runs, summarise, time_in_turns
from .limits import list_reached, stage_rows
from .offline import measure_offline
from .probe import Probe, probe
from .stages import Split, photo_like
from .work import StageWork, count_work

__all__ = ["Contender", "Options", "bench", "find_contenders"]

_TOOLS = ("tinysr", "numpy", "onnxruntime", "openvino", "torch", "tensorrt-rtx", "coremltools")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of a measurement."""

    rules: Rules = FULL
    target_ms: float = 26.0
    """The paper's latency of one image."""
    threads: int | None = None
    device: str = ""
    """A name for this machine; empty takes the processor's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """One row to be measured."""

    backend: str
    precision: str

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"{self.backend} {self.precision}"


def find_contenders(
    bundle: Bundle, backends: Sequence[Backend], precisions: Sequence[str] = ()
) -> list[Contender]:
    """Return what a bundle has for these backends, that this machine runs.

    Raises:
        BundleError: a precision that was asked for is there for none of them.
    """
    found = [
        Contender(backend=backend.name, precision=precision)
        for backend in backends
        for precision in backend.precisions(bundle, bundle.manifest.chain.names)
        if not any(backend.explain_unfit(bundle, a) for a in _stages(bundle, backend, precision))
    ]
    have = {contender.precision for contender in found}
    for precision in precisions:
        if precision not in have:
            raise BundleError(
                f"{bundle.folder}: nothing to measure in {precision}: expected one of "
                f"{', '.join(sorted(have)) or 'none'}"
            )
    return [c for c in found if not precisions or c.precision in precisions]


def bench(
    bundle: Bundle, wanted: Sequence[Contender], options: Options, tell: Progress = ignore_progress
) -> BenchRun:
    """Measure contenders in turns; what a process can tell only once, in a process each.

    Raises:
        BundleError: an artifact failed its gate or is damaged.
        UnsupportedError: a process failed.
    """
    peaks = _peaks(options.rules, tell)
    side = bundle.manifest.tile
    probes = {}
    for done, one in enumerate(wanted):
        tell(f"{one.name} in a process of its own", done, len(wanted))
        probes[one] = probe(bundle.folder, one.backend, one.precision, side, options.threads)
    with ExitStack() as stack:
        splits = {one: stack.enter_context(_open_watched(bundle, one, options)) for one in wanted}
        rounds = time_in_turns(
            {one.name: split for one, split in splits.items()}, options.rules, tell
        )
        peaks = peaks.take_better(_peaks(options.rules, tell))  # clouds have faster minutes
        stages = bundle.manifest.chain.names
        work = {stage: count_work(bundle, stage, side) for stage in stages}
        times = {one: split.times(options.rules) for one, split in splits.items()}
        for one, found in times.items():
            artifacts = _stages(bundle, create(one.backend), one.precision)
            peaks = peaks.hold_against(list_reached(found, artifacts, work))
        setting = _Setting(bundle=bundle, work=work, times=times, peaks=peaks, options=options)
        base = rounds[wanted[0].name]
        rows: list[Row] = []
        for one, split in splits.items():
            tell(f"{one.name} offline", len(rows), len(splits))
            against = None if one is wanted[0] else compare_runs(rounds[one.name], base)
            rows.append(_row(setting, one, split, rounds[one.name], probes[one], against))
    return _collect(bundle, tuple(rows), peaks, options)


def _peaks(rules: Rules, tell: Progress) -> Peaks:
    if not rules.peaks:
        return UNMEASURED
    tell("the machine's peaks", 0, 1)
    return measure_peaks()


def _stages(bundle: Bundle, backend: Backend, precision: str) -> list[Artifact]:
    stages = bundle.manifest.chain.names
    return [backend.artifact(bundle, stage, precision) for stage in stages]


@contextmanager
def _open_watched(bundle: Bundle, one: Contender, options: Options) -> Iterator[Split]:
    """Open an upscaler with watched sessions, for the time of a block."""
    with Upscaler(
        bundle, backend=one.backend, precision=one.precision, threads=options.threads
    ) as upscaler:
        split = Split(upscaler, photo_like(bundle.manifest.tile, options.rules.seed))
        with split.watch():
            yield split


@dataclass(frozen=True, kw_only=True, slots=True)
class _Setting:
    """Values that all rows of a run share."""

    bundle: Bundle
    work: Mapping[StageName, StageWork]
    times: Mapping[Contender, Mapping[str, Latency]]
    peaks: Peaks
    options: Options


def _row(  # noqa: PLR0917
    setting: _Setting,
    one: Contender,
    split: Split,
    seconds: list[float],
    found: Probe,
    against: Ratio | None,
) -> Row:
    rules = setting.options.rules
    artifacts = _stages(setting.bundle, create(one.backend), one.precision)
    files = {f.path: f.size for a in artifacts for f in (a.file, *a.data)}
    verdicts = {a.parity.result for a in artifacts}
    rate, joules = measure_offline(split, rules)
    return Row(
        backend=one.backend,
        precision=one.precision,
        single=summarise(seconds, rules.warmup),
        stages=stage_rows(setting.times[one], artifacts, setting.work, setting.peaks),
        offline=rate,
        bytes=sum(files.values()),
        joules=joules,
        against=against,
        parity=min(verdicts, key=("fail", "not run", "pass").index),
        **found.model_dump(),
    )


def _collect(bundle: Bundle, rows: tuple[Row, ...], peaks: Peaks, options: Options) -> BenchRun:
    manifest = bundle.manifest
    return BenchRun(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        commit=read_commit(),
        device=Device(
            name=options.device or f"{cpu_name()}, {os.cpu_count()} cores",
            kind="cpu",
            cpu=cpu_name(),
            cores=os.cpu_count() or 1,
            system=f"{platform.system()} {platform.machine()}",
            peaks=peaks,
        ),
        model=manifest.source.name,
        model_sha256=manifest.source.sha256,
        side=manifest.tile,
        scale=manifest.chain.scale,
        rules=options.rules,
        target_ms=options.target_ms,
        rows=rows,
        tools=find_versions(_TOOLS),
    )
