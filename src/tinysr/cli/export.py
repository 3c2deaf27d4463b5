"""`tinysr export`: a model in, a bundle that passed its gate out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysr.progress import show_progress
from tinysr.terminal import Output, style_text

from .common import is_bundle, print_report
from .coreml import CoreMLFlags, coreml_settings
from .extend import extend, refuse_model_options
from .memory import peak_memory
from .modes import refuse_without_effect
from .numbers import SIDE, number_option
from .records import with_options
from .tensorrt import TensorRTFlags, build_notes, tensorrt_settings

if TYPE_CHECKING:
    from tinysr.workflows.export import Exported

__all__ = ["export"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportFlags:
    """Options of `tinysr export`; those of single targets are apart."""

    model: Annotated[
        str,
        typer.Argument(
            help="A preset, a checkpoint's folder or .safetensors file, or the .toml file of a "
            "network of your own; or a bundle, to which "
            "targets are added that are built from its graphs."
        ),
    ] = "tinysr-nano"
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The bundle's folder.  [default: bundles/MODEL]"),
    ] = None
    target: Annotated[
        list[str] | None,
        typer.Option("-t", "--target", help="Repeat for several.  [default: onnx]"),
    ] = None
    precision: Annotated[
        str,
        typer.Option(
            help="fp32, fp16, int8 (weights and activations), w8 or w4 (weights in 8 or 4 bits): "
            "graphs beside those in fp32; or all. CoreML also has w6."
        ),
    ] = "fp32"
    plan: Annotated[
        list[Path] | None,
        typer.Option(
            help="A plan for the precision; repeat for several.  [default: found on the way]"
        ),
    ] = None
    tile: Annotated[
        int, number_option(kind=SIDE, text="Side of a tile, in low-resolution pixels.")
    ] = 128
    batch: Annotated[
        str, typer.Option(help="Tiles a graph takes at once: a number, or 'dynamic'.")
    ] = "1"
    layers: Annotated[
        str | None,
        typer.Option(
            help="Layers to keep of a full SD3 checkpoint, such as 0,2,5.  [default: all]"
        ),
    ] = None
    trust_code: Annotated[
        bool,
        typer.Option(
            "--trust-code", help="Let a network's Python function or .pt2 file run its code."
        ),
    ] = False
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bundle that is there.")
    ] = False
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Compare every artifact with the eager model.")
    ] = True


@with_options
def export(
    context: typer.Context, flags: ExportFlags, coreml: CoreMLFlags, tensorrt: TensorRTFlags
) -> None:
    """Export a model: bake its constants, build its graphs, and gate them.

    A bundle that fails its gate is kept as OUTPUT.rejected, and the exit code is 1.
    """
    from tinysr.errors import require

    targets = tuple(dict.fromkeys(flags.target or ("onnx",)))
    for name, label in {"tensorrt": "TensorRT", "coreml": "CoreML"}.items():
        if name not in targets:
            refuse_without_effect(context, f"an export without {label}")
    if is_bundle(flags.model):
        refuse_model_options(context, Path(flags.model))
        require("onnx", extra="export")
        from tinysr.export import Extension

        settings = tensorrt_settings(tensorrt, targets) | coreml_settings(coreml, targets)
        more = Extension(targets=targets, precision=flags.precision, settings=settings)
        extend(
            Path(flags.model),
            flags.output or Path(flags.model),
            more,
            gate=flags.gate,
            overwrite=flags.overwrite,
        )
        return
    for package in ("torch", "onnx", "onnxscript", "onnxsim"):
        require(package, extra="export")
    from tinysr.export import ExportOptions
    from tinysr.export.plans.files import load_any_plan
    from tinysr.export.plans.precision import PrecisionPlan
    from tinysr.models.family import ReadOptions
    from tinysr.workflows.export import export_gated

    plans = [load_any_plan(path) for path in flags.plan or ()]
    options = ExportOptions(
        targets=targets,
        precision=flags.precision,
        plan=next((p for p in plans if isinstance(p, PrecisionPlan)), None),
        quantization=tuple(p for p in plans if not isinstance(p, PrecisionPlan)),
        tile=flags.tile,
        batch=_batch(flags.batch),
        settings=tensorrt_settings(tensorrt, targets) | coreml_settings(coreml, targets),
    )
    start, screen = time.perf_counter(), Output()
    with build_notes(), show_progress() as tell:
        exported = export_gated(
            flags.model,
            flags.output or Path("bundles") / Path(flags.model).stem,
            options,
            reading=ReadOptions(layers=_layers(flags.layers), trust=flags.trust_code),
            gate=flags.gate,
            overwrite=flags.overwrite,
            progress=tell,
            told=lambda report: print_report(screen, report),
        )
    _print_summary(screen, exported, time.perf_counter() - start)


def _print_summary(output: Output, exported: Exported, seconds: float) -> None:
    """Say what was made, where, how big, how exact and how long it took."""
    place, manifest = exported.folder, exported.manifest
    files = {f.path: f.size for a in manifest.artifacts for f in (a.file, *a.data)}
    output.line(
        style_text(str(place), "bold"),
        f": {len(manifest.artifacts)} graphs, {sum(files.values()) / 1e6:.1f} MB",
    )
    output.line(
        f"  baked in fp32: {manifest.bake.difference:.1e} from the eager model "
        f"(at most {manifest.bake.tolerance:.0e})"
    )
    half = {"fp16": manifest.precision_plan} if manifest.precision_plan else {}
    for precision, entry in (half | manifest.quantization_plans).items():
        output.line(
            f"  {precision} by the plan {place / entry.path}, {exported.origins[precision]}"
        )
    ungated = (style_text("not gated", "yellow"), f": `tinysr parity {place}` does it")
    gate = (f"gate {exported.gate_seconds:.1f} s",) if exported.report else ungated
    export_seconds = seconds - exported.gate_seconds
    output.line(f"  export {export_seconds:.1f} s, peak memory {peak_memory()}, ", *gate)


def _batch(text: str) -> int | None:
    from tinysr.errors import UnsupportedError

    if text == "dynamic":
        return None
    if not text.isdecimal():
        raise UnsupportedError(f"expected a batch of at least 1 or 'dynamic', found '{text}'")
    return int(text)


def _layers(text: str | None) -> tuple[int, ...] | None:
    from tinysr.errors import UnsupportedError

    if text is None:
        return None
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise UnsupportedError(f"expected layers such as 0,2,5, found '{text}'")
    return tuple(int(number) for number in numbers)
