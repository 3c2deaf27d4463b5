"""`tinysr families`: every family's models at full size, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tinysr.terminal import Column, Output, Table, style_text

if TYPE_CHECKING:
    from tinysr.benchmarks.report.family_costs import Limits, PresetCost

__all__ = ["families"]


def families(
    device: Annotated[
        str, typer.Option(help="Device whose peaks bound the time: one that is measured or listed.")
    ] = "NVIDIA V100",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare all families at full size: parameters, products, bytes, and a device's least time.

    Nothing is downloaded and no weight is allocated: all is counted from shapes, for one image of
    128×128 to 512×512, beside what the papers publish.
    """
    from tinysr.errors import require

    require("torch", extra="models")
    require("onnx", extra="export")
    from tinysr.benchmarks.report.family_costs import count_presets, find_limits

    limits = find_limits(device)
    costs = count_presets(limits)
    if as_json:
        rows = [cost.model_dump(mode="json") for cost in costs]
        Output().json({"device": limits.model_dump(mode="json"), "presets": rows})
    else:
        _print(costs, limits)


def _print(costs: tuple[PresetCost, ...], limits: Limits) -> None:
    output = Output()
    names = (
        *("parameters, M", "exported, M", "published, M", "MACs, G", "published, G"),
        *("attention, G", "fp16, MB", "bound, ms", "paper, ms"),
    )
    columns = [Column(name="preset"), *(Column(name=name, right=True) for name in names)]
    table = Table(columns=columns, title=f"128×128 → 512×512, bound by {limits.name}")
    for cost in costs:
        table.add(
            style_text(cost.preset, "bold"),
            f"{cost.trained:.2f}",
            f"{cost.exported:.2f}",
            _tell(cost.published_parameters),
            f"{cost.macs:.1f}",
            _tell(cost.published_macs),
            f"{cost.attention:.1f}",
            f"{cost.megabytes:.0f}",
            f"{cost.bound_ms:.2f}",
            _tell(cost.published_ms),
        )
    output.table(table)
    output.line()
    for family, licence in {cost.family: cost.licence for cost in costs}.items():
        output.line(style_text(f"{family:>20}", "bold"), f"  {licence}")
    for cost in costs:
        if cost.note:
            output.line(style_text(f"{cost.preset:>20}", "bold"), f"  published, but {cost.note}")
    output.line(
        style_text(
            f"bound: all products at {limits.tops:g}·10¹² operations per second in "
            f"{limits.precision}, or all weights at {limits.gbps:g} GB/s, whichever takes longer",
            "dim",
        )
    )


def _tell(number: float | None) -> str:
    return "" if number is None else f"{number:g}"
