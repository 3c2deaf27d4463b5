"""Formats that are built from a bundle's graphs, gated as in a new export."""

from __future__ import annotations

from pathlib import Path

from tinysr.errors import GateError, UnsupportedError
from tinysr.export import Extension, bake, check_target, extend_bundle
from tinysr.manifest import Manifest
from tinysr.models import load_source
from tinysr.parity import compute_references, compute_seam_references, gate_bundle
from tinysr.progress import Progress, ignore_progress
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.session import Backend
from tinysr.suite import suite

from .backends import backends_of_targets
from .export import Told

__all__ = ["extend_gated"]


def extend_gated(
    folder: Path,
    place: Path,
    extension: Extension,
    *,
    gate: bool = True,
    overwrite: bool = False,
    progress: Progress = ignore_progress,
    told: Told | None = None,
) -> Manifest:
    """Build formats from a bundle's graphs, and hold those that run here against the model.

    Args:
        folder: the bundle that has the graphs.
        place: where the extended bundle goes; it may be the same folder.
        extension: targets, precision and settings.
        gate: whether new artifacts are held against the eager model.
        overwrite: whether a bundle at ``place`` may be replaced.
        progress: called as the build goes on.
        told: called with the gate's report before a failure is raised.

    Raises:
        GateError: a new artifact fails its gate.
        UnsupportedError: the gate needs a checkpoint, which a bundle does not hold.
        TinySRError: the bundle, an option or the place can't be used.
    """
    check_target(place, overwrite=overwrite)
    bundle = Bundle(folder)

    def hold(work: Path) -> None:
        if backends := backends_of_targets(Bundle(work), extension.targets):
            _hold(bundle, work, backends, progress, told)

    return extend_bundle(
        bundle,
        place,
        extension,
        gate=hold if gate else None,
        overwrite=overwrite,
        progress=lambda text: progress(text, 0, 1),
    )


def _hold(
    bundle: Bundle, work: Path, backends: list[Backend], progress: Progress, told: Told | None
) -> None:
    """Hold the new artifacts against the eager model."""
    source, tile = bundle.manifest.source, bundle.manifest.tile
    if source.kind != "preset":
        raise UnsupportedError(
            f"the gate needs the checkpoint '{source.name}', which a bundle does not hold: add "
            "--no-gate, then run `tinysr parity` with --model"
        )
    loaded = load_source(source, None)
    report = gate_bundle(
        work,
        compute_references(loaded.model, suite(tile), progress),
        backends=backends,
        seam=compute_seam_references(bundle, loaded.model),
        baked=lambda: bake(loaded.model, tile),
        progress=progress,
    )
    if told:
        told(report)
    if not report.passed:
        raise GateError(report.failure)
