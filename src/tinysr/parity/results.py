"""A parity run as data: what ``reports/parity.json`` holds."""

from __future__ import annotations

import platform
from typing import Literal

from tinysr.manifest import Artifact, Host, Source, Verdict
from tinysr.metrics import Metrics
from tinysr.records import StrictRecord
from tinysr.stages import StageName
from tinysr.versions import find_versions

__all__ = [
    "ArtifactResult",
    "BisectResult",
    "BisectRow",
    "ImageResult",
    "ParityReport",
    "SeamResult",
    "note_bisect",
    "verdict_of",
    "versions",
]

_PACKAGES = ("tinysr", "torch", "onnx", "onnxruntime", "numpy", "scikit-image")


class ImageResult(StrictRecord):
    """One image through one artifact."""

    image: str
    kind: Literal["photo", "flat", "pattern", "user"]
    passed: bool
    metrics: Metrics


class BisectRow(StrictRecord):
    """One module's output in the graph, held against the same module in PyTorch."""

    module: str
    """Dotted path in the baked model, or the name of the graph's output."""
    error: float | None
    """Largest difference over the largest reference value; null when not finite."""
    departs: bool


class BisectResult(StrictRecord):
    """Place at which a failing graph goes wrong."""

    artifact: str
    """The ONNX graph that was taken apart; another than the one that failed if that is not ONNX."""
    image: str
    threshold: float
    """Relative error that the precision explains."""
    module: str | None
    """The first module whose output departs; null when none does."""
    rows: tuple[BisectRow, ...]
    """The modules around it, in the order they run."""
    compared: int
    """Number of modules that were compared, up to and with the one that departs."""
    note: str


class ArtifactResult(StrictRecord):
    """One artifact on one backend, over the whole suite."""

    target: str
    stage: StageName
    precision: str
    backend: str
    gate_db: float
    images: tuple[ImageResult, ...]
    verdict: Verdict
    side: int | None = None
    """Side of the suite's images, in low-resolution pixels; null when it is the bundle's tile."""
    bisect: BisectResult | None = None

    @property
    def passed(self) -> bool:
        """Whether every image passed."""
        return all(image.passed for image in self.images)

    @property
    def worst(self) -> ImageResult:
        """The image that decides the verdict."""
        return min(self.images, key=lambda image: image.metrics.rank)

    @property
    def label(self) -> str:
        """A short name for messages."""
        size = f" at {self.side} pixels" if self.side else ""
        return f"{self.target}/{self.stage} {self.precision} on {self.backend}{size}"

    @property
    def shortcoming(self) -> str:
        """Value of its worst image and the reason, in a few words."""
        metrics, verdict = self.worst.metrics, self.verdict
        found = f"{metrics.psnr_db:.1f} dB" if metrics.psnr_db is not None else "not finite"
        why = f" ({verdict.note})" if verdict.note else ""
        return f"{self.label}: {found} on '{self.worst.image}', gate {self.gate_db:g} dB{why}"

    def is_of(self, artifact: Artifact) -> bool:
        """Say whether this is the result of that artifact."""
        key = (artifact.target, artifact.stage, artifact.precision)
        return key == (self.target, self.stage, self.precision)


class SeamResult(StrictRecord):
    """One image of several tiles through a backend's stages: what tiling adds."""

    backend: str
    target: str
    precision: str
    image: str
    tiles: int
    """Seams of the transformer's tiles."""
    windows: int
    """Seams of the autoencoder's windows."""
    metrics: Metrics
    ratio: float | None
    """Mean squared error at the borders over that elsewhere; null when not finite."""
    gate_db: float
    limit: float
    """Largest ratio that passes."""
    passed: bool

    @property
    def shortcoming(self) -> str:
        """Fault of the tiling, in a few words."""
        found = f"{self.metrics.psnr_db:.1f} dB" if self.metrics.psnr_db is not None else "–"
        ratio = "not finite" if self.ratio is None else f"{self.ratio:.1f}× the error at borders"
        return (
            f"tiles of {self.target} {self.precision} on {self.backend}: {found}, {ratio}; "
            f"gate {self.gate_db:g} dB and {self.limit:g}×"
        )


class ParityReport(StrictRecord):
    """A whole run. It holds no time of day: the same run gives the same file."""

    schema_version: Literal[1] = 1
    bundle: str
    family: str
    source: Source
    tile: int
    images: tuple[str, ...]
    results: tuple[ArtifactResult, ...]
    seams: tuple[SeamResult, ...] = ()
    """Seams for each backend and precision that has all stages; empty when they were not
    measured."""
    tools: dict[str, str]
    host: Host

    @property
    def passed(self) -> bool:
        """Whether something was measured, and every artifact passed."""
        artifacts = bool(self.results) and all(result.passed for result in self.results)
        return artifacts and all(seam.passed for seam in self.seams)

    @property
    def failure(self) -> str:
        """Failed artifacts in one line; empty when all passed."""
        failed = [result for result in self.results if not result.passed]
        parts = [seam.shortcoming for seam in self.seams if not seam.passed]
        if failed:
            named = "; ".join(result.shortcoming for result in failed)
            parts.insert(0, f"{len(failed)} of {len(self.results)} artifacts fail: {named}")
        return "; ".join(parts)

    def json_text(self) -> str:
        """Return the text of ``parity.json``."""
        return self.model_dump_json(indent=2) + "\n"


def verdict_of(
    images: tuple[ImageResult, ...], *, backend: str, gate_db: float, note: str = ""
) -> Verdict:
    """Return the verdict that the worst of the images gives."""
    worst = min(images, key=lambda image: image.metrics.rank)
    if not worst.metrics.finite:
        note = "; ".join(filter(None, ("NaN or infinite values", note)))
    return Verdict(
        result="pass" if all(image.passed for image in images) else "fail",
        backend=backend,
        gate_db=gate_db,
        worst_db=worst.metrics.psnr_db,
        worst_image=worst.image,
        images=len(images),
        note=note,
    )


def note_bisect(result: ArtifactResult, bisect: BisectResult) -> ArtifactResult:
    """Return the result with its bisect, and the verdict with what the bisect found."""
    found = f"'{bisect.module}' departs first" if bisect.module else bisect.note
    note = "; ".join(filter(None, (result.verdict.note, found)))
    verdict = result.verdict.model_copy(update={"note": note})
    return result.model_copy(update={"bisect": bisect, "verdict": verdict})


def versions() -> tuple[dict[str, str], Host]:
    """Return the versions of the packages at work, and this machine."""
    host = Host(
        system=platform.system(), machine=platform.machine(), python=platform.python_version()
    )
    return find_versions(_PACKAGES), host
