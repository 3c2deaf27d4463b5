"""Plans of integers, and the graphs that they make."""

from __future__ import annotations

from pathlib import Path

import onnx

from tests.support.tiny_models import TILE
from tinysr.export import ExportOptions, export_bundle
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.export.plans.quantization import KEPT_IN, Format, KeptLayer, QuantizationPlan
from tinysr.manifest import Manifest
from tinysr.models import Loaded

QKV = "transformer.transformer_blocks.0.attn.to_qkv"
CONV = "decoder.layers.2.conv.2"


def make_plan(
    loaded: Loaded, precision: Format, ranges: dict[str, float], *keep: str, to: str | None = None
) -> QuantizationPlan:
    return QuantizationPlan(
        model_sha256=loaded.source.sha256,
        tile=TILE,
        precision=precision,
        keep=tuple(
            KeptLayer.model_validate(
                {
                    "module": m,
                    "precision": to or KEPT_IN["onnx"][precision][0],
                    "reason": 'a "big" one',
                }
            )
            for m in keep
        ),
        ranges=ranges if precision == "int8" else {},
    )


def kept(module: str, precision: str = "fp16") -> dict[str, str]:
    return {"module": module, "precision": precision}


def export(loaded: Loaded, folder: Path, plan: QuantizationPlan) -> Manifest:
    half = PrecisionPlan(model_sha256=plan.model_sha256, tile=TILE)
    options = ExportOptions(
        tile=TILE,
        precision=plan.precision,
        plan=half if plan.precision == "int8" else None,
        quantization=(plan,),
    )
    return export_bundle(loaded, folder, options)


def graph(folder: Path, stage: str, precision: str) -> onnx.ModelProto:
    return onnx.load(folder / "onnx" / f"{stage}.{precision}.onnx")
