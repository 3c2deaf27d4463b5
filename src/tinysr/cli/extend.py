"""`tinysr export BUNDLE`: formats that are built from the graphs of a bundle."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tinysr.progress import show_progress
from tinysr.terminal import Output, style_text

from .common import print_report
from .memory import peak_memory
from .modes import refuse_without_effect
from .tensorrt import build_notes

if TYPE_CHECKING:
    from tinysr.export import Extension

__all__ = ["extend", "refuse_model_options"]


def refuse_model_options(context: typer.Context, folder: Path) -> None:
    """Refuse options of an export that a bundle's graphs have settled already.

    Raises:
        UnsupportedError: one was given; the message has what holds in its place.
    """
    from tinysr.manifest import read_manifest

    manifest = read_manifest(folder)
    plans = [*(["fp16"] if manifest.precision_plan else []), *manifest.quantization_plans]
    sizes = {a.inputs[0].shape[0] for a in manifest.artifacts if manifest.chain.is_fixed(a.stage)}
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
    from tinysr.workflows.extend import extend_gated

    start, output = time.perf_counter(), Output()
    with build_notes(), show_progress() as tell:
        manifest = extend_gated(
            folder,
            place,
            extension,
            gate=gate,
            overwrite=overwrite,
            progress=tell,
            told=lambda report: print_report(output, report),
        )
    new = [a for a in manifest.artifacts if a.target in extension.targets]
    output.line(
        style_text(str(place), "bold"),
        f": {len(new)} more artifacts, "
        f"{sum(a.file.size for a in new) / 1e6:.1f} MB, from the graphs of {folder}",
    )
    for artifact in new:
        verdict = artifact.parity
        said = verdict.note if verdict.result == "not run" else verdict.result
        output.line(f"  {artifact.label}: {artifact.file.size / 1e6:.1f} MB, {said}")
    output.line(f"  {time.perf_counter() - start:.1f} s, peak memory {peak_memory()}")
