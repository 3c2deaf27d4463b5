"""`tinysr export BUNDLE`: formats that are built from the graphs of a bundle."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tinysr.progress import progress_bar
from tinysr.terminal import Output, styled

from .memory import peak_memory
from .modes import refuse_without_effect
from .parity import print_report
from .tensorrt import build_notes

if TYPE_CHECKING:
    from tinysr.export import Extension, Gate
    from tinysr.progress import Progress
    from tinysr.runtime.bundle import Bundle
    from tinysr.runtime.session import Backend

__all__ = ["extend", "is_bundle", "refuse_model_options"]


def is_bundle(model: str) -> bool:
    """Say whether a model's name is a bundle's folder."""
    from tinysr import paths
    from tinysr.errors import BundleError
    from tinysr.manifest import MANIFEST_NAME

    return paths.is_file(Path(model) / MANIFEST_NAME, BundleError)


def refuse_model_options(context: typer.Context, folder: Path) -> None:
    """Refuse options of an export that a bundle's graphs have settled already.

    Raises:
        UnsupportedError: one was given; the message has what holds in its place.
    """
    from tinysr.manifest import read_manifest

    manifest = read_manifest(folder)
    plans = [*(["fp16"] if manifest.precision_plan else []), *manifest.quantization_plans]
    sizes = {a.inputs[0].shape[0] for a in manifest.artifacts if a.stage == "transformer"}
    batches = {str(size) if isinstance(size, int) else "any size" for size in sizes}
    layers = manifest.source.layers
    values = {
        "tile": f"tiles of {manifest.tile}",
        "batch": f"batches of {' and '.join(sorted(batches))}",
        "layers": "all layers" if layers is None else f"the layers {layers}",
        "plan": f"plans for {', '.join(plans)}" if plans else "no plan",
    }
    refuse_without_effect(context, "a bundle's export", {"bundle": str(folder)}, values)


def extend(folder: Path, place: Path, extension: Extension, *, gate: bool, overwrite: bool) -> None:
    """Build the formats, gate what can run here, and say what was made."""
    from tinysr.export import check_target, extend_bundle
    from tinysr.runtime.bundle import Bundle

    check_target(place, overwrite=overwrite)
    start = time.perf_counter()
    bundle = Bundle(folder)
    with build_notes(), progress_bar() as tell:
        manifest = extend_bundle(
            bundle,
            place,
            extension,
            gate=_gate(bundle, extension, tell) if gate else None,
            overwrite=overwrite,
            progress=lambda text: tell(text, 0, 1),
        )
    output = Output()
    new = [a for a in manifest.artifacts if a.target in extension.targets]
    output.line(
        styled(str(place), "bold"),
        f": {len(new)} artifacts more, "
        f"{sum(a.file.size for a in new) / 1e6:.1f} MB, from the graphs of {folder}",
    )
    for artifact in new:
        verdict = artifact.parity
        said = verdict.note if verdict.result == "not run" else verdict.result
        output.line(f"  {artifact.label}: {artifact.file.size / 1e6:.1f} MB, {said}")
    output.line(f"  {time.perf_counter() - start:.1f} s, peak memory {peak_memory()}")


def _gate(bundle: Bundle, extension: Extension, tell: Progress) -> Gate:
    def gate(work: Path) -> None:
        from tinysr.runtime.bundle import Bundle

        if backends := _backends(Bundle(work), extension):
            _hold(bundle, work, backends, tell)

    return gate


def _backends(bundle: Bundle, extension: Extension) -> list[Backend]:
    """Return the backends that can run the new artifacts here."""
    from tinysr.runtime.registry import BACKENDS

    kinds = [kind() for kind in BACKENDS if kind.target in extension.targets]
    return [
        kind
        for kind in kinds
        if kind.status().ready
        and not any(kind.unfit(bundle, artifact) for artifact in bundle.artifacts(kind.target))
    ]


def _hold(bundle: Bundle, work: Path, backends: list[Backend], tell: Progress) -> None:
    """Hold the new artifacts against the eager model."""
    from tinysr.errors import GateError, UnsupportedError
    from tinysr.export import bake
    from tinysr.models import load_source
    from tinysr.parity import eager_reference, gate_bundle, seam_reference, suite

    source, tile = bundle.manifest.source, bundle.manifest.tile
    if source.kind != "preset":
        raise UnsupportedError(
            f"the gate needs the checkpoint '{source.name}', which a bundle does not hold: add "
            "--no-gate, then run `tinysr parity` with --model"
        )
    loaded = load_source(source, None)
    report = gate_bundle(
        work,
        eager_reference(loaded.model, suite(tile), tell),
        backends=backends,
        seam=seam_reference(bundle, loaded.model),
        baked=lambda: bake(loaded.model, tile),
        progress=tell,
    )
    print_report(Output(), report)
    if not report.passed:
        raise GateError(report.failure)
