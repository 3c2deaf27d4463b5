"""Tables of `tinysr inspect` for a model: parameters and multiply-accumulates."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tinysr.errors import require
from tinysr.terminal import Column, Output, Table, style_text

if TYPE_CHECKING:
    from tinysr.models import ModelConfig

__all__ = ["FORMS", "MACS", "cost_table", "model_report", "print_model"]

SIDE = 128
"""Side of the image that costs are counted for, in pixels: the paper's."""

MACS = "MACs are multiply-accumulates with weights; attention's are apart."
"""Definition of the count, for readers of the tables."""

FORMS = {
    "eager": "as trained",
    "unconditioned": "without the time and pooled-text modules",
    "baked": "modulation as constants: scales and shifts left beside the norms",
    "folded": "all constants folded into the linears: what is exported",
}
"""The states a model passes through, from a checkpoint to a graph."""


def model_report(target: str) -> dict[str, Any]:
    """Return a preset's or a checkpoint's facts as JSON-ready data.

    A preset's costs come from shapes alone: its weights are not even allocated.

    Raises:
        CheckpointError: the checkpoint can't be used.
        UnsupportedError: there is no such preset or path.
        MissingBackendError: torch or onnx is not installed.
    """
    require("torch", extra="models")
    require("onnx", extra="export")
    from tinysr.models import PRESETS, UNTRAINED, load_checkpoint

    if target in PRESETS:
        config = PRESETS[target]
        facts = {"layout": "preset", "name": target, "trained": target not in UNTRAINED}
    else:
        loaded = load_checkpoint(target)
        config, source = loaded.model.config, loaded.source
        facts = {"layout": source.kind, **source.model_dump(mode="json", exclude={"kind"})}
    return {"kind": "model", **facts, "config": config.to_dict(), **_costs(config)}


def _costs(config: ModelConfig) -> dict[str, Any]:
    """Count all forms of a model, from modules without memory."""
    from tinysr.export import bake
    from tinysr.models.accounting import Cost, count_eager_costs, count_stage_costs, meta_model

    side = _side(config)
    model = meta_model(config)
    eager = count_eager_costs(model, side)
    baked = bake(model, side)
    folded = count_stage_costs(
        baked.encoder, baked.transformer, baked.decoder, config=config, side=side
    )
    nothing = Cost(parameters=0, macs=0)
    whole, after = sum(eager.values(), nothing), sum(folded.values(), nothing)
    totals = {
        "eager": whole,
        "unconditioned": whole - eager["conditioning"],
        "baked": after + Cost(parameters=_kept_constants(config, side), macs=0),
        "folded": after,
    }
    return {
        "image_side": side,
        "stages": {
            stage: {"eager": asdict(cost), "folded": asdict(folded.get(stage, nothing))}
            for stage, cost in eager.items()
        },
        "totals": {form: asdict(cost) for form, cost in totals.items()},
    }


def _kept_constants(config: ModelConfig, side: int) -> int:
    """Count the scales and shifts that are left when only the gates are folded."""
    from tinysr.export.model.baked import Modulated
    from tinysr.export.model.passes import fold_gates, freeze_conditioning
    from tinysr.models.accounting import meta_model

    frozen = fold_gates(freeze_conditioning(meta_model(config), side))
    norms = [module for module in frozen.modules() if isinstance(module, Modulated)]
    return sum(buffer.numel() for norm in norms for buffer in norm.buffers())


def _side(config: ModelConfig) -> int:
    """Return the paper's side, or the largest that a small position table allows."""
    from tinysr.models import SCALE

    transformer = config.transformer
    latent = transformer.position_grid * transformer.patch
    return min(SIDE, latent * config.vae.downscale // SCALE)


def print_model(report: dict[str, Any]) -> None:
    """Print the report for people."""
    output = Output()
    trained = "trained weights" if report["trained"] else "seeded weights, not trained"
    vae, transformer = report["config"]["vae"], report["config"]["transformer"]
    lines = {
        "model": f"{report['name']} ({report['layout']}), {trained}",
        "sizes": f"transformer {transformer['depth']} blocks × {transformer['heads']} heads, "
        f"autoencoder width {vae['width']}, {vae['latent_channels']} latent channels",
        "encoder": "separable" if vae["separable_encoder"] else "standard",
        "decoder": "separable" if vae["separable_decoder"] else "standard",
    }
    for name in ("sha256", "lora_sha256"):
        if report.get(name):
            lines[name] = report[name]
    for name, text in lines.items():
        output.line(style_text(f"{name:>11}", "bold"), f"  {text}")
    output.line()
    output.table(_table(report))
    output.line()
    for form, meaning in FORMS.items():
        output.line(style_text(f"{form:>13}", "bold"), f"  {meaning}")
    output.line(style_text(MACS, "dim"))


def _table(report: dict[str, Any]) -> Table:
    side = report["image_side"]
    table = cost_table(f"Costs for {side}×{side} → {4 * side}×{4 * side}", "part")
    for form in ("eager", "folded"):
        for stage, costs in report["stages"].items():
            if costs[form]["parameters"]:
                table.add(f"{stage}, {form}", *_numbers(costs[form]))
    for form in FORMS:
        table.add(style_text(f"whole, {form}", "bold"), *_numbers(report["totals"][form]))
    return table


def cost_table(title: str, first: str, *, wraps: bool = False) -> Table:
    """Return a table without rows: ``first`` names what costs, which may be prose."""
    numbers = ("parameters, M", "MACs, G", "attention, G")
    columns = [
        Column(name=first, wraps=wraps),
        *(Column(name=name, right=True) for name in numbers),
    ]
    return Table(columns=columns, title=title)


def _numbers(cost: dict[str, int]) -> tuple[str, str, str]:
    macs, attention = (f"{cost[name] / 1e9:.4g}" for name in ("macs", "attention_macs"))
    return f"{cost['parameters'] / 1e6:.2f}", macs, attention
