"""Tables of `tinysr inspect` for a model: parameters and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tinysr.errors import require
from tinysr.terminal import Column, Output, Table, style_text

if TYPE_CHECKING:
    from tinysr.models import ModelConfig, OneStepModel, TinySR

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
    from tinysr.models import find_preset, load_checkpoint

    if (family := find_preset(target)) is not None:
        model = family.make_meta(target)
        trained = target not in family.untrained
        facts = {"layout": "preset", "name": target, "trained": trained}
    else:
        loaded = load_checkpoint(target)
        source = loaded.source
        facts = {"layout": source.kind, **source.model_dump(mode="json", exclude={"kind"})}
        model = loaded.model.to("meta")
    return {"kind": "model", **facts, "config": model.facts, **_costs(model)}


def _costs(model: OneStepModel) -> dict[str, Any]:
    """Count all forms of a model, from modules without memory."""
    from tinysr.export import bake
    from tinysr.models import TinySR
    from tinysr.models.accounting import Cost, count_stage_costs
    from tinysr.models.families.tinysr.accounting import count_eager_costs

    side = _side(model.config) if isinstance(model, TinySR) else SIDE
    chain = model.chain(side)
    if isinstance(model, TinySR):
        eager = count_eager_costs(model, side)
    else:
        eager = count_stage_costs(chain, model.stage_modules, side, model.run_stage)
    folded = count_stage_costs(chain, bake(model, side).get_submodule, side)
    nothing = Cost(parameters=0, macs=0)
    whole, after = sum(eager.values(), nothing), sum(folded.values(), nothing)
    totals = {"eager": whole, "folded": after}
    if isinstance(model, TinySR):
        totals["unconditioned"] = whole - eager["conditioning"]
        kept = Cost(parameters=_count_kept(model, side), macs=0)
        totals["baked"] = after + kept
    return {
        "image_side": side,
        "scale": chain.scale,
        "stages": {
            stage: {"eager": asdict(cost), "folded": asdict(folded.get(stage, nothing))}
            for stage, cost in eager.items()
        },
        "totals": {form: asdict(totals[form]) for form in FORMS if form in totals},
    }


def _count_kept(model: TinySR, side: int) -> int:
    """Count the scales and shifts that are left when only the gates are folded."""
    from tinysr.export.families.tinysr.passes import fold_gates, freeze_conditioning
    from tinysr.export.model.baked_transformer import Modulated

    frozen = fold_gates(freeze_conditioning(model, side))
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
    lines = {
        "model": f"{report['name']} ({report['layout']}), {trained}",
        **_describe_sizes(report["config"]),
    }
    for name in ("sha256", "lora_sha256"):
        if report.get(name):
            lines[name] = report[name]
    for name, text in lines.items():
        output.line(style_text(f"{name:>11}", "bold"), f"  {text}")
    output.line()
    output.table(_table(report))
    output.line()
    for form in report["totals"]:
        meaning = FORMS[form]
        output.line(style_text(f"{form:>13}", "bold"), f"  {meaning}")
    output.line(style_text(MACS, "dim"))


def _describe_sizes(config: dict[str, Any]) -> dict[str, str]:
    """Return lines on the sizes of a model, by their titles."""
    if config["family"] != "tinysr":
        sizes = (f"{name.replace('_', ' ')} {value}" for name, value in _list_sizes(config))
        return {"sizes": ", ".join(sizes)}
    vae, transformer = config["vae"], config["transformer"]
    return {
        "sizes": f"transformer {transformer['depth']} blocks × {transformer['heads']} heads, "
        f"autoencoder width {vae['width']}, {vae['latent_channels']} latent channels",
        "encoder": "separable" if vae["separable_encoder"] else "standard",
        "decoder": "separable" if vae["separable_decoder"] else "standard",
    }


def _list_sizes(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a config, those of its parts with the parts' names before."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from ((f"{name} {inner}", found) for inner, found in _list_sizes(value))
        else:
            yield name, value


def _table(report: dict[str, Any]) -> Table:
    side = report["image_side"]
    large = report["scale"] * side
    table = cost_table(f"Costs for {side}×{side} → {large}×{large}", "part")
    for form in ("eager", "folded"):
        for stage, costs in report["stages"].items():
            if costs[form]["parameters"]:
                table.add(f"{stage}, {form}", *_numbers(costs[form]))
    for form in report["totals"]:
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
