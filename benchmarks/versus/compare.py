"""Quality against size against speed, for every precision of a bundle.

Speeds are measured in turns: each round runs every precision once, in another order, so that
whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import BundleError
from tinysr.manifest import Artifact, Source
from tinysr.metrics import Metrics, measure
from tinysr.parity import GATES_DB, Reference
from tinysr.parity.results import versions
from tinysr.progress import Progress
from tinysr.records import StrictRecord
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.session import Backend, Session
from tinysr.stages import IMAGE, RESULT

__all__ = ["Comparison", "PrecisionRow", "compare"]

ImageArray = NDArray[np.float32]

REPEATS = 11
WARMUP = 2


class PrecisionRow(StrictRecord):
    """One precision."""

    precision: str
    bytes: int
    """Size of its graphs and weights."""
    gate_db: float
    worst_db: float | None
    """Lowest PSNR against eager on the suite; null when equal bit for bit or not finite."""
    worst_image: str
    mean_db: float | None
    """Null when an image is not finite, or all are equal bit for bit."""
    passed: bool
    """Every image of the suite reaches the gate."""
    truth_db: float | None
    """Mean PSNR against the ground truth of degraded photos, clamped to [0, 1]; null when one is
    not finite."""
    milliseconds: float
    """Median for one tile."""
    spread: float
    """Interquartile range of it, in milliseconds."""


class Comparison(StrictRecord):
    """A bundle's precisions, side by side."""

    bundle: str
    source: Source
    tile: int
    backend: str
    images: int
    photos: int
    rows: tuple[PrecisionRow, ...]
    repeats: int
    warmup: int
    threads: int
    """Threads that the machine has; the backend takes as many of them as it likes."""
    machine: str
    tools: dict[str, str]
    """Versions on the machine that measured."""


def compare(
    bundle: Bundle,
    backend: Backend,
    references: Sequence[Reference],
    photos: Sequence[tuple[ImageArray, ImageArray]],
    *,
    repeats: int = REPEATS,
    warmup: int = WARMUP,
    progress: Progress | None = None,
) -> Comparison:
    """Measure the whole model's graph in every precision.

    Args:
        bundle: with one precision or more.
        backend: what to run on.
        references: the eager model's images.
        photos: degraded photos ``[3, T, T]`` and their ground truth ``[3, 4T, 4T]``, in [0, 1].
        repeats: rounds that are timed.
        warmup: rounds before, that are not.
        progress: told what is being measured.

    Raises:
        BundleError: the bundle has no graph of the whole model for the backend, or is damaged.
    """
    artifacts = [a for a in bundle.artifacts(backend.target) if a.stage == "upscale"]
    if not artifacts:
        raise BundleError(
            f"{bundle.folder}: expected upscale graphs for {backend.name}, found none"
        )
    tell = progress or (lambda *_: None)
    with ExitStack() as stack:
        sessions = {a.precision: stack.enter_context(backend.open(bundle, a)) for a in artifacts}
        times = _times(sessions, references[0].fields[IMAGE], repeats, warmup, tell)
        rows = []
        for done, (precision, session) in enumerate(sessions.items()):
            tell(f"quality in {precision}", done, len(sessions))
            quality = _quality(session, references, photos)
            speed = _speed(times[precision])
            size = _bytes(bundle.artifacts(backend.target), precision)
            rows.append(PrecisionRow(precision=precision, bytes=size, **quality, **speed))
    manifest = bundle.manifest
    return Comparison(
        bundle=manifest.name,
        source=manifest.source,
        tile=manifest.tile,
        backend=backend.name,
        images=len(references),
        photos=len(photos),
        rows=tuple(rows),
        repeats=repeats,
        warmup=warmup,
        threads=os.cpu_count() or 1,
        machine=f"{platform.system()} {platform.machine()}",
        tools=versions()[0],
    )


def _quality(
    session: Session,
    references: Sequence[Reference],
    photos: Sequence[tuple[ImageArray, ImageArray]],
) -> dict[str, Any]:
    gate = GATES_DB[session.artifact.precision]
    held = [
        (measure(_run(session, r.fields[IMAGE]), r.fields[RESULT], peak=1.0), r.image.name)
        for r in references
    ]
    worst, name = min(held, key=lambda pair: pair[0].rank)
    truths = [measure(_clamp(_run(session, low)), high, peak=1.0) for low, high in photos]
    return {
        "gate_db": gate,
        "worst_db": worst.psnr_db,
        "worst_image": name,
        "mean_db": _mean_db([m for m, _ in held]),
        "passed": all(m.passes(gate) for m, _ in held),
        "truth_db": _mean_db(truths),
    }


def _clamp(found: ImageArray) -> ImageArray:
    """Clamp to [0, 1] what is finite: it would make 1 of infinity."""
    return found.clip(0, 1) if np.isfinite(found).all() else found


def _mean_db(found: Sequence[Metrics]) -> float | None:
    """Return the mean PSNR of all that differ at all; none when one is not finite."""
    if not all(metrics.finite for metrics in found):
        return None
    numbers = [metrics.psnr_db for metrics in found if metrics.psnr_db is not None]
    return statistics.fmean(numbers) if numbers else None


def _times(
    sessions: Mapping[str, Session], pixels: ImageArray, repeats: int, warmup: int, tell: Progress
) -> dict[str, list[float]]:
    """Return milliseconds of each precision's rounds."""
    names = list(sessions)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(warmup + repeats):
        tell("speed", turn, warmup + repeats)
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            _run(sessions[name], pixels)
            if turn >= warmup:
                times[name].append((time.perf_counter() - start) * 1e3)
    return times


def _speed(times: Sequence[float]) -> dict[str, float]:
    low, _, high = statistics.quantiles(times, n=4) if len(times) > 1 else (0.0, 0.0, 0.0)
    return {"milliseconds": statistics.median(times), "spread": high - low}


def _run(session: Session, pixels: ImageArray) -> ImageArray:
    (source,), (sink,) = session.artifact.inputs, session.artifact.outputs
    batch = source.shape[0] if isinstance(source.shape[0], int) else 1
    found: ImageArray = session.run({source.name: np.stack([pixels] * batch)})[sink.name][0]
    return found


def _bytes(artifacts: Sequence[Artifact], precision: str) -> int:
    own = [a for a in artifacts if a.precision == precision]
    return sum({f.path: f.size for a in own for f in (a.file, *a.data)}.values())
