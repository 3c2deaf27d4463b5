"""Export of a model: its plans are found, its artifacts are gated, and then it gets its name."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tinysr.errors import CheckpointError, GateError
from tinysr.export import (
    PRECISIONS,
    ExportOptions,
    bake,
    check_target,
    export_bundle,
    find_targets,
)
from tinysr.manifest import Manifest, Source
from tinysr.models import OneStepModel, load_checkpoint
from tinysr.models.family import ReadOptions
from tinysr.parity import (
    ParityReport,
    compute_further_references,
    compute_references,
    compute_seam_references,
    gate_bundle,
)
from tinysr.progress import Progress, ignore_progress
from tinysr.runtime.bundle import Bundle
from tinysr.suite import suite

from .backends import choose_backends
from .plans import add_missing_plans

__all__ = ["Exported", "export_gated"]

_AS_IT_IS = ReadOptions()

Told = Callable[[ParityReport], None]
"""Function that is called with the gate's report, also when the gate fails."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """Bundle that an export made."""

    folder: Path
    manifest: Manifest
    origins: Mapping[str, str]
    """Origin of each precision's plan, in words."""
    report: ParityReport | None
    """Report of the gate; None where it was left out."""
    gate_seconds: float
    """Seconds that the gate took, which a caller's own time includes."""


def export_gated(
    model: str,
    folder: Path,
    options: ExportOptions,
    *,
    reading: ReadOptions = _AS_IT_IS,
    gate: bool = True,
    overwrite: bool = False,
    progress: Progress = ignore_progress,
    told: Told | None = None,
) -> Exported:
    """Export a preset or a checkpoint to a bundle, and hold every artifact against the model.

    Missing plans are those that come with TinySR, or are found first, which takes minutes.

    Args:
        model: a preset's name, or the path of a checkpoint's folder or .safetensors file.
        folder: the bundle's.
        options: targets, precision, plans, and sizes.
        reading: options of reading a checkpoint.
        gate: whether artifacts are held against the eager model before the bundle gets its name.
        overwrite: whether a bundle that is there may be replaced.
        progress: called as the export goes on.
        told: called with the gate's report before a failure is raised.

    Raises:
        GateError: an artifact fails its gate, or no plan holds; the bundle is ``FOLDER.rejected``.
        TinySRError: the model, an option or the folder can't be used.
    """
    for chosen in find_targets(options.targets):
        chosen.check(options.settings, PRECISIONS[options.precision])
    check_target(folder, overwrite=overwrite)  # before minutes are spent, not after
    progress("reading the model", 0, 1)
    loaded = load_checkpoint(model, layers=reading.layers, trust=reading.trust)
    options, origins = add_missing_plans(loaded, options, progress)
    hold = _Hold(partial(_load_again, loaded.source, model, reading), options.tile, progress, told)
    manifest = export_bundle(
        loaded,
        folder,
        options,
        gate=hold if gate else None,
        overwrite=overwrite,
        consume=True,
        progress=lambda text: progress(text, 0, 1),
    )
    return Exported(
        folder=folder,
        manifest=manifest,
        origins=origins,
        report=hold.report,
        gate_seconds=hold.seconds,
    )


def _load_again(source: Source, name: str, reading: ReadOptions) -> OneStepModel:
    """Return the model of a source once more: an export takes it apart.

    Raises:
        CheckpointError: the checkpoint was changed in between.
    """
    loaded = load_checkpoint(name, layers=reading.layers, trust=reading.trust)
    if loaded.source != source:
        raise CheckpointError(
            f"{name}: the checkpoint changed while it was exported: expected SHA-256 "
            f"{source.sha256[:12]}…, found {loaded.source.sha256[:12]}…; export it again"
        )
    return loaded.model


class _Hold:
    """The gate of one export."""

    def __init__(
        self,
        load: Callable[[], OneStepModel],
        tile: int,
        progress: Progress,
        told: Told | None,
    ) -> None:
        self._load, self._tile, self._progress, self._told = load, tile, progress, told
        self.report: ParityReport | None = None
        self.seconds = 0.0

    def __call__(self, folder: Path) -> None:
        """Hold a finished bundle against the model.

        Raises:
            GateError: an artifact fails.
        """
        start = time.perf_counter()
        model, bundle = self._load(), Bundle(folder)
        references = compute_references(model, suite(self._tile), self._progress)
        seam = compute_seam_references(bundle, model)
        further = compute_further_references(model, bundle.manifest, suite, self._progress)
        del model  # before artifacts are opened
        report = gate_bundle(
            folder,
            references,
            backends=choose_backends(bundle),
            seam=seam,
            further=further,
            baked=lambda: bake(self._load(), self._tile, consume=True),
            progress=self._progress,
        )
        self.report, self.seconds = report, time.perf_counter() - start
        if self._told:
            self._told(report)
        if not report.passed:
            raise GateError(report.failure)
