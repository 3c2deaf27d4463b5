"""`tinysr families`: all families at full size, counted beside what papers publish."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.support.project import ROOT
from tinysr.benchmarks.record import read_record
from tinysr.benchmarks.report.family_costs import Limits, find_limits
from tinysr.benchmarks.report.family_table import VERDICTS, preset_lines, verdict_lines
from tinysr.benchmarks.report.kept_figures import statistics_lines
from tinysr.benchmarks.report.paper import paper_rows
from tinysr.cli.families import families
from tinysr.models import FAMILIES, list_presets

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    app = typer.Typer()
    app.command()(families)
    found = CliRunner().invoke(app, ["--json"])
    assert found.exit_code == 0, found.output
    parsed: dict[str, Any] = json.loads(found.stdout)
    return parsed


def test_every_preset_is_there(report: dict[str, Any]) -> None:
    assert tuple(row["preset"] for row in report["presets"]) == list_presets()
    assert all(row["licence"] for row in report["presets"])


def test_what_is_published_is_counted_or_the_reason_is_given(report: dict[str, Any]) -> None:
    for row in report["presets"]:
        for published, counted in (
            (row["published_parameters"], (row["trained"], row["exported"])),
            (row["published_macs"], (row["macs"],)),
        ):
            close = published and any(abs(n / published - 1) < 0.05 for n in counted)
            assert published is None or close or row["note"], row["preset"]


def test_published_figures_are_those_of_the_papers_table() -> None:
    table = {row.method.lower(): row for row in paper_rows()}
    for family in FAMILIES:
        for preset, published in family.published.items():
            if preset in table and published.source == "TinySR, table 1":
                row = table[preset]
                assert (published.parameters, published.macs) == (row.parameters_m, row.macs_g)


def test_a_bound_is_the_slower_of_products_and_weights() -> None:
    limits = Limits(name="x", precision="fp16", tops=1.0, gbps=1.0)
    assert limits.bound_ms(macs=1e9, weight_bytes=1e3) == pytest.approx(2.0)
    assert limits.bound_ms(macs=1e3, weight_bytes=1e9) == pytest.approx(1000.0)


def test_measured_devices_have_their_measured_peaks() -> None:
    found = find_limits("AMD EPYC (Zen 5), 2 cores")
    assert (found.precision, round(found.tops, 3)) == ("int8", 1.787)


def test_the_table_is_for_people(run: Run) -> None:
    code, out, _ = run("families")
    assert code == 0
    assert "bound by NVIDIA V100" in out


def test_the_pages_tables_are_those_of_this_version() -> None:
    page = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
    for lines in (preset_lines(), verdict_lines(), statistics_lines()):
        assert "\n".join(lines) in page, (
            "the tables are old: run python -m tinysr.benchmarks.report.family_table"
        )


def test_no_target_refuses_without_a_reason() -> None:
    kept = read_record(VERDICTS)["figures"]
    assert {*kept} <= {family.name for family in FAMILIES}
    for cells in kept.values():
        assert all(cell["note"] for cell in cells.values() if cell["result"] == "refused")
