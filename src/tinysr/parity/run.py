"""Running a bundle's artifacts over the suite, one open session at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.chain import Chain
from tinysr.errors import BundleError, MissingBackendError, UnsupportedError
from tinysr.manifest import Artifact, Port
from tinysr.metrics import Metrics
from tinysr.progress import Progress
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.session import Backend, Session

from .gates import gate_db
from .measures import gives_image, measure_graph
from .pictures import Picture, make_picture
from .reference import Reference, clamp_expected, list_further_sides
from .results import (
    ArtifactResult,
    ImageResult,
    ParityReport,
    SeamResult,
    verdict_of,
    versions,
)
from .seams import SeamReference, measure_seams

__all__ = ["ParityRun", "run_artifact", "run_parity"]

Array = NDArray[np.floating[Any]]

_DYNAMIC_BATCH = 2  # what a graph whose batch may vary is tried with, next to 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ParityRun:
    """A report, and the pictures that only its page shows."""

    report: ParityReport
    pictures: dict[str, tuple[Picture, ...]]
    """Pictures by the label of a result whose output is an image: one per image of the suite."""


def run_parity(
    bundle: Bundle,
    backends: Iterable[Backend],
    references: Sequence[Reference],
    progress: Progress | None = None,
    *,
    seam: tuple[SeamReference, ...] = (),
    further: Mapping[int, Sequence[Reference]] | None = None,
) -> ParityRun:
    """Hold every artifact that the backends can open against the eager references.

    Args:
        bundle: read from its folder; hashes are checked as files are opened.
        backends: what to run on; each takes the artifacts of its target.
        references: from :func:`compute_references`, at the bundle's tile size.
        progress: told about every artifact.
        seam: from :func:`compute_seam_references`; without it, tiling is not measured.
        further: from :func:`compute_further_references`, by the sides of tiles that graphs take
            beside the bundle's.

    Raises:
        BundleError: the bundle has no artifact for one of the backends.
        UnsupportedError: no references, or they are of another tile size, or there are none of
            a size that a graph takes, or an artifact's precision has no gate.
    """
    _check_references(bundle, references)
    results: list[ArtifactResult] = []
    seams: list[SeamResult] = []
    pictures: dict[str, tuple[Picture, ...]] = {}
    for backend in backends:
        artifacts = bundle.artifacts(backend.target)
        if not artifacts:
            raise BundleError(f"{bundle.folder}: no {backend.target} artifacts for {backend.name}")
        artifacts = _select_fitting(bundle, backend, artifacts)
        for artifact in artifacts:
            sizes = _sizes(bundle, artifact, references, further or {})
            for side, images in sizes.items():
                result, shown = run_artifact(bundle, backend, artifact, images, progress)
                result = result.model_copy(update={"side": side})
                results.append(result)
                if shown:
                    pictures[result.label] = shown
        if seam:
            if progress:
                progress(f"tiles on {backend.name}", 0, 1)
            seams += measure_seams(bundle, backend, seam)
    manifest = bundle.manifest
    tools, host = versions()
    report = ParityReport(
        bundle=manifest.name,
        family=manifest.family,
        source=manifest.source,
        tile=manifest.tile,
        images=tuple(reference.image.name for reference in references),
        results=tuple(results),
        seams=tuple(seams),
        tools=tools,
        host=host,
    )
    return ParityRun(report=report, pictures=pictures)


def run_artifact(
    bundle: Bundle,
    backend: Backend,
    artifact: Artifact,
    references: Sequence[Reference],
    progress: Progress | None = None,
) -> tuple[ArtifactResult, tuple[Picture, ...]]:
    """Run one artifact over the suite: its result, and its pictures when it makes images."""
    gate = gate_db(artifact.precision)
    chain = bundle.manifest.chain
    shows = gives_image(chain, artifact)
    images: list[ImageResult] = []
    pictures: list[Picture] = []
    with backend.open(bundle, artifact) as session:
        for reference, found in _outputs(session, references, chain, progress):
            given, expected = reference.ends(artifact.stage, chain)
            expected = clamp_expected(artifact, expected)
            metrics = measure_graph(found, expected, given, chain, artifact)
            images.append(_image_result(reference, metrics, gate))
            if shows:
                pictures.append(make_picture(reference.image, expected, found))
    result = ArtifactResult(
        target=artifact.target,
        stage=artifact.stage,
        precision=artifact.precision,
        backend=backend.name,
        gate_db=gate,
        images=tuple(images),
        verdict=verdict_of(
            tuple(images), backend=backend.name, gate_db=gate, note=backend.caveat()
        ),
    )
    return result, tuple(pictures)


def _sizes(
    bundle: Bundle,
    artifact: Artifact,
    references: Sequence[Reference],
    further: Mapping[int, Sequence[Reference]],
) -> dict[int | None, Sequence[Reference]]:
    """Return the references of every size that an artifact takes; the bundle's tile is None."""
    sizes: dict[int | None, Sequence[Reference]] = {None: references}
    for side in list_further_sides(bundle.manifest, [artifact]):
        if side not in further:
            raise UnsupportedError(
                f"{artifact.label} takes tiles of {side} too: expected references of that size, "
                f"found {sorted(further) or 'none'}"
            )
        sizes[side] = further[side]
    return sizes


def _select_fitting(
    bundle: Bundle, backend: Backend, artifacts: tuple[Artifact, ...]
) -> tuple[Artifact, ...]:
    """Return the artifacts that this machine runs; the others keep the verdict they have."""
    reasons = {artifact.label: backend.explain_unfit(bundle, artifact) for artifact in artifacts}
    found = tuple(artifact for artifact in artifacts if not reasons[artifact.label])
    if not found:
        label, reason = next(iter(reasons.items()))
        raise MissingBackendError(f"{bundle.folder}: {label}: {reason}")
    return found


def feed(port: Port, inputs: Sequence[Array]) -> dict[str, Array]:
    """Return inputs without batch as the one feed of a graph, in its dtype."""
    return {port.name: np.stack(inputs).astype(port.dtype)}


def _outputs(
    session: Session, references: Sequence[Reference], chain: Chain, progress: Progress | None
) -> Iterator[tuple[Reference, Array]]:
    """Yield each reference with the session's output for it, in fp32, without batch."""
    artifact = session.artifact
    source, sink = _take_only(artifact.inputs, artifact), _take_only(artifact.outputs, artifact)
    done = 0
    for batch in _batches(references, source.shape[0]):
        if progress:
            progress(artifact.label, done, len(references))
        inputs = [reference.ends(artifact.stage, chain)[0] for reference in batch]
        found = session.run(feed(source, inputs))[sink.name].astype(np.float32)
        if len(found) != len(batch):
            raise UnsupportedError(
                f"{artifact.label}: expected {len(batch)} images back, found {len(found)}"
            )
        # A full last batch repeats an image: only its first copy counts.
        new = min(len(batch), len(references) - done)
        yield from zip(batch[:new], found[:new], strict=True)
        done += new
    if progress:
        progress(artifact.label, done, len(references))


def _batches(references: Sequence[Reference], size: int | str) -> Iterator[Sequence[Reference]]:
    """Yield batches that fill a fixed size with different images, or try more than one size."""
    if isinstance(size, int):
        for start in range(0, len(references), size):
            batch = [*references[start : start + size]]
            yield batch + [batch[-1]] * (size - len(batch))
        return
    yield references[:1]
    for start in range(1, len(references), _DYNAMIC_BATCH):
        yield references[start : start + _DYNAMIC_BATCH]


def _image_result(reference: Reference, metrics: Metrics, gate: float) -> ImageResult:
    return ImageResult(
        image=reference.image.name,
        kind=reference.image.kind,
        passed=metrics.passes(gate),
        metrics=metrics,
    )


def _take_only(ports: tuple[Port, ...], artifact: Artifact) -> Port:
    if len(ports) != 1:
        raise UnsupportedError(
            f"{artifact.label}: expected one input and one output, "
            f"found {[port.name for port in ports]}"
        )
    return ports[0]


def _check_references(bundle: Bundle, references: Sequence[Reference]) -> None:
    tile = bundle.manifest.tile
    if not references:
        raise UnsupportedError("expected at least one image to compare, found none")
    for reference in references:
        side = reference.image.pixels.shape[-1]
        if side != tile:
            raise UnsupportedError(
                f"the image '{reference.image.name}' is a tile of {side}, "
                f"the bundle's tile is {tile}: make the suite at that size"
            )
