"""Tables of `tinysr inspect` for a model: parameters and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinysr.errors import require
from tinysr.terminal import Column, Output, Table, style_text

__all__ = ["MACS", "cost_table", "model_report", "print_model"]

MACS = "MACs are multiply-accumulates with weights; attention's are apart."
"""Definition of the count, for readers of the tables."""


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
    from tinysr.export.costs import count_forms
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
    return {"kind": "model", **facts, "config": model.facts, **count_forms(model)}


def print_model(report: dict[str, Any]) -> None:
    """Print the report for people."""
    from tinysr.export.costs import FORMS

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
