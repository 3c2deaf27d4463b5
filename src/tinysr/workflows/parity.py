"""Check of a bundle that is there: every artifact against the eager model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from tinysr.export import bake
from tinysr.models import load_source
from tinysr.parity import (
    ParityReport,
    Reference,
    ReportCopies,
    SeamReference,
    compute_further_references,
    compute_references,
    compute_seam_references,
    gate_bundle,
)
from tinysr.progress import Progress, ignore_progress
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.session import Backend
from tinysr.suite import SuiteImage, suite, user_images

from .backends import choose_backends

__all__ = ["check_parity"]


def check_parity(
    bundle: Bundle,
    *,
    backends: Sequence[str] = (),
    model: Path | None = None,
    images: Path | None = None,
    copies: ReportCopies | None = None,
    progress: Progress = ignore_progress,
) -> ParityReport:
    """Hold every artifact of a bundle against the eager model, and record the verdicts in it.

    Args:
        bundle: opened, with its artifacts' hashes not checked yet.
        backends: names; without any, all that can run the bundle here.
        model: the checkpoint that the bundle was made from, when it was no preset.
        images: a folder of images beside the suite's.
        copies: files that the report goes to beside those in the bundle.
        progress: called as the check goes on.

    Raises:
        TinySRError: a backend, the bundle, the model or an image can't be used.
    """
    chosen = choose_backends(bundle, backends)
    _check_artifacts(bundle, chosen)
    references, seam, further = _references(bundle, model, images, progress)
    return gate_bundle(
        bundle.folder,
        references,
        backends=chosen,
        baked=lambda: _bake_again(bundle, model),
        seam=seam,
        further=further,
        progress=progress,
        copies=copies,
    )


def _references(
    bundle: Bundle, model: Path | None, images: Path | None, progress: Progress
) -> tuple[tuple[Reference, ...], tuple[SeamReference, ...], dict[int, tuple[Reference, ...]]]:
    """Run the eager model; it is freed on return, before any artifact is opened."""

    def load_images(side: int) -> tuple[SuiteImage, ...]:
        return (*suite(side), *(user_images(images, side) if images else ()))

    manifest = bundle.manifest
    own = load_images(manifest.tile)  # before the model: a folder may be refused
    loaded = load_source(manifest.source, model)
    references = compute_references(loaded.model, own, progress)
    further = compute_further_references(loaded.model, manifest, load_images, progress)
    return references, compute_seam_references(bundle, loaded.model), further


def _bake_again(bundle: Bundle, model: Path | None) -> nn.Module:
    return bake(load_source(bundle.manifest.source, model).model, bundle.manifest.tile)


def _check_artifacts(bundle: Bundle, backends: Sequence[Backend]) -> None:
    """Refuse damaged artifacts before the eager model is run, not after."""
    for backend in backends:
        for artifact in bundle.artifacts(backend.target):
            bundle.path(artifact)
