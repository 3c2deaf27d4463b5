"""`tinysr export`: a model in, a bundle that passed its gate out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinysr.progress import show_progress
from tinysr.terminal import Output, style_text

from .common import is_bundle, print_report
from .coreml import DeploymentTarget, Layout, Tiles, coreml_settings
from .extend import extend, refuse_model_options
from .memory import peak_memory
from .modes import refuse_without_effect
from .numbers import SIDE, number_option
from .tensorrt import build_notes, tensorrt_settings, with_tensorrt_options

if TYPE_CHECKING:
    from tinysr.workflows.export import Exported

__all__ = ["export"]


@with_tensorrt_options
def export(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="A preset, a checkpoint's folder or .safetensors file; or a bundle, to which "
            "targets are added that are built from its graphs."
        ),
    ] = "tinysr-nano",
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The bundle's folder.  [default: bundles/MODEL]"),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("-t", "--target", help="Repeat for several.  [default: onnx]"),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="fp32, fp16, int8 (weights and activations), w8 or w4 (weights in 8 or 4 bits): "
            "graphs beside those in fp32; or all. CoreML also has w6."
        ),
    ] = "fp32",
    plan: Annotated[
        list[Path] | None,
        typer.Option(
            help="A plan for the precision; repeat for several.  [default: found on the way]"
        ),
    ] = None,
    tile: Annotated[
        int, number_option(kind=SIDE, text="Side of a tile, in low-resolution pixels.")
    ] = 128,
    batch: Annotated[
        str, typer.Option(help="Tiles a graph takes at once: a number, or 'dynamic'.")
    ] = "1",
    layers: Annotated[
        str | None,
        typer.Option(
            help="Layers to keep of a full SD3 checkpoint, such as 0,2,5.  [default: all]"
        ),
    ] = None,
    system: DeploymentTarget = None,
    layout: Layout = None,
    coreml_tile: Tiles = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bundle that is there.")
    ] = False,
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Compare every artifact with the eager model.")
    ] = True,
    tensorrt: Mapping[str, Any],
) -> None:
    """Export a model: bake its constants, build its graphs, and gate them.

    A bundle that fails its gate is kept as OUTPUT.rejected, and the exit code is 1.
    """
    from tinysr.errors import require

    targets = tuple(dict.fromkeys(target or ("onnx",)))
    coreml = {"deployment_target": system, "layout": layout, "tiles": coreml_tile}
    for name, label in {"tensorrt": "TensorRT", "coreml": "CoreML"}.items():
        if name not in targets:
            refuse_without_effect(context, f"an export without {label}")
    if is_bundle(model):
        refuse_model_options(context, Path(model))
        require("onnx", extra="export")
        from tinysr.export import Extension

        settings = _settings(targets, tensorrt, coreml)
        more = Extension(targets=targets, precision=precision, settings=settings)
        extend(Path(model), output or Path(model), more, gate=gate, overwrite=overwrite)
        return
    for package in ("torch", "onnx", "onnxscript", "onnxsim"):
        require(package, extra="export")
    from tinysr.export import ExportOptions
    from tinysr.export.plans.files import load_any_plan
    from tinysr.export.plans.precision import PrecisionPlan
    from tinysr.workflows.export import export_gated

    plans = [load_any_plan(path) for path in plan or ()]
    options = ExportOptions(
        targets=targets,
        precision=precision,
        plan=next((p for p in plans if isinstance(p, PrecisionPlan)), None),
        quantization=tuple(p for p in plans if not isinstance(p, PrecisionPlan)),
        tile=tile,
        batch=_batch(batch),
        settings=_settings(targets, tensorrt, coreml),
    )
    start, screen = time.perf_counter(), Output()
    with build_notes(), show_progress() as tell:
        exported = export_gated(
            model,
            output or Path("bundles") / Path(model).stem,
            options,
            layers=_layers(layers),
            gate=gate,
            overwrite=overwrite,
            progress=tell,
            told=lambda report: print_report(screen, report),
        )
    _print_summary(screen, exported, time.perf_counter() - start)


def _settings(
    targets: tuple[str, ...], tensorrt: Mapping[str, Any], coreml: Mapping[str, Any]
) -> dict[str, object]:
    """Return the settings of single targets."""
    return tensorrt_settings(tensorrt, targets) | coreml_settings(coreml, targets)


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
