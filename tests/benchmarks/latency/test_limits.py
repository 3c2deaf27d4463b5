"""Shares of the machine's limits: of proper peaks, up to 100 %, or not measured."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bundles import make_bundle
from tinysr.benchmarks import device, peaks, timing
from tinysr.benchmarks.latency import bench as benching
from tinysr.benchmarks.latency.limits import find_computed_type
from tinysr.benchmarks.peaks import UNMEASURED, Peaks, measure_peaks
from tinysr.benchmarks.report import page as report
from tinysr.benchmarks.rows import BenchRun, StageRow, read_measured, share_of
from tinysr.facts import FormatFacts, OpenVinoFacts
from tinysr.manifest import Artifact
from tinysr.runtime import Bundle

Run = Callable[..., tuple[int, str, str]]

FAST = Peaks(tops={"fp32": 1e6, "bf16": None, "int8": None}, gbps=1e6, by={"fp32": "numpy"})
"""Of no machine: every part takes a small share of its limit, but some."""
SLOW = Peaks(tops={"fp32": 1e-9, "bf16": None, "int8": None}, gbps=1e-9, by={"fp32": "numpy"})
"""Of no product that is large enough: every part is far above this limit."""

PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("limits") / "twin")


@pytest.fixture
def with_peaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[Peaks], None]:
    """Return what gives this machine other peaks, and has full rules take no time."""

    def give(found: Peaks) -> None:
        monkeypatch.setattr(benching, "measure_peaks", lambda: found)
        full = timing.FULL.model_copy(update={"least_seconds": 0.0, "least_count": 2})
        monkeypatch.setitem(timing.PRESETS, "full", full)

    return give


def measured_with(twin: Path, folder: Path) -> BenchRun:
    """Return what the command for a device measures."""
    words = [str(twin), "--device", "here", "--results", str(folder), "--no-sides"]
    assert device.main(words) == 0
    return read_measured(folder / "bench-here-twin.json")


def texts(twin: Path, run: Run, folder: Path) -> dict[str, str]:
    """Return all that is ever written of a run: the table, the file, Markdown, and the page."""
    code, out, _ = run("bench", twin, "--threads", "1", "--json", folder / "bench.json")
    assert code == 0
    measured_with(twin, folder / "results")
    page = report.write_report(folder / "report", folder / "results").read_text()
    visible = re.sub(r"<style>.*?</style>|base64,[^\"]*", "", page, flags=re.DOTALL)
    return {
        "table": out,
        "page": visible,
        "markdown": (folder / "report" / "bench.md").read_text(),
        "document": "\n".join(report.device_lines(folder / "results")),
        "json": (folder / "bench.json").read_text(),
    }


def test_no_share_over_100_percent_is_written_anywhere(
    twin: Path, run: Run, tmp_path: Path, with_peaks: Callable[[Peaks], None]
) -> None:
    with_peaks(SLOW)
    found = texts(twin, run, tmp_path)
    for where, text in found.items():
        assert all(float(share) <= 100 for share in PERCENT.findall(text)), where
    (row,) = json.loads(found["json"])["rows"]
    assert {stage["limit_ms"] for stage in row["stages"]} == {None}
    assert "so no limit is known" in found["table"]
    assert "a stage exceeded the peak of fp32" in " ".join(found["document"].split())
    (line,) = (line for line in found["markdown"].splitlines() if line.startswith("| here |"))
    assert line.split(" | ")[6] == "not measured"


def test_a_peak_that_holds_gives_shares_everywhere(
    twin: Path, run: Run, tmp_path: Path, with_peaks: Callable[[Peaks], None]
) -> None:
    with_peaks(FAST)
    found = texts(twin, run, tmp_path)
    assert found["table"].count("% memory") + found["table"].count("% compute") == 3
    (line,) = (line for line in found["markdown"].splitlines() if line.startswith("| here |"))
    assert PERCENT.fullmatch(line.split(" | ")[6])
    (row,) = json.loads(found["json"])["rows"]
    assert all(stage["limit_ms"] for stage in row["stages"][:3])


def test_quick_rules_measure_no_peaks_and_say_so(
    twin: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure() -> Peaks:
        raise AssertionError("a peak was measured")

    monkeypatch.setattr(benching, "measure_peaks", measure)
    code, out, _ = run("bench", twin, "--rules", "quick", "--threads", "1", "--json", "b.json")
    assert code == 0
    assert "its peaks were not measured" in out
    assert not PERCENT.search(out)
    found = read_measured(tmp_path / "b.json")
    assert found.device.peaks == UNMEASURED
    assert found.rows[0].share_of_limit is None
    assert "these rules measure no peaks" in report._describe(found)


def test_old_files_with_refuted_limits_have_none(tmp_path: Path) -> None:
    old = {"name": "encoder", "ms": 1.0, "spread": 0.1, "limit_ms": 5.4, "bound": "compute"}
    stage = StageRow.model_validate_json(json.dumps(old))
    assert (stage.limit_ms, stage.share_of_limit, stage.refuted) == (None, None, True)
    held = StageRow.model_validate_json(json.dumps(old | {"ms": 6.0}))
    assert held.share_of_limit == pytest.approx(0.9)
    assert not held.refuted


@given(limit=st.floats(0, 1e6), took=st.floats(0, 1e6))
def test_a_share_is_at_most_all(limit: float, took: float) -> None:
    found = share_of(limit, took)
    assert found is None or 0 <= found <= 1
    assert (found is None) == (limit == 0 or took < limit)


def test_one_stage_above_its_peak_leaves_no_limit_of_that_type() -> None:
    found = Peaks(tops={"fp32": 2.0, "bf16": 4.0}, gbps=1.0, by={})
    held = found.hold_against([("fp32", 1.9), ("bf16", 4.5), ("bf16", 6.0), ("bf16", 5.0)])
    assert held.tops == {"fp32": 2.0, "bf16": None}
    assert held.exceeded == {"bf16": (4.0, 6.0)}
    assert "bf16: products reached 4, a stage 6, so no limit is known" in held.summary
    assert found.hold_against([("int8", 9.0)]) == found


def test_peaks_are_of_large_products_tried_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small products are mostly overhead: what they reach limits nothing."""
    assert all(2 * m * k * n > 1e10 for m, k, n in peaks._SIZES)
    calls: list[int] = []
    monkeypatch.setattr(peaks, "_SECONDS", 0.0)
    assert peaks._time_best(lambda: calls.append(0)) > 0
    assert len(calls) == 1 + peaks._TRIES
    monkeypatch.setattr(peaks, "_SIZES", ((64, 64, 64),))
    monkeypatch.setattr(peaks, "_BYTES", 2**12)
    found = measure_peaks()
    assert found.tops["fp32"] is not None
    assert found.tops["fp32"] > 0
    assert found.by["fp32"] in ("torch", "openvino", "numpy")
    assert found.gbps is not None
    assert found.gbps > 0


def test_of_two_measurements_the_better_peak_counts() -> None:
    first = Peaks(tops={"fp32": 2.0, "bf16": None}, gbps=None, by={"fp32": "torch"})
    second = Peaks(tops={"fp32": 1.0, "bf16": 3.0}, gbps=1.0, by={"fp32": "x", "bf16": "openvino"})
    assert first.take_better(second) == Peaks(
        tops={"fp32": 2.0, "bf16": 3.0}, gbps=1.0, by={"fp32": "torch", "bf16": "openvino"}
    )


@pytest.mark.parametrize(
    ("target", "precision", "hint", "expected"),
    [
        ("onnx", "int8", None, "fp32"),
        ("openvino", "fp32", "f32", "fp32"),
        ("openvino", "bf16", "bf16", "bf16"),
        ("openvino", "int8", "f32", "int8"),
        ("tensorrt", "fp16", None, None),
        ("coreml", "fp16", None, None),
    ],
)
def test_the_cpus_peaks_limit_what_it_computes(
    target: str, precision: str, hint: str | None, expected: str | None, twin: Path
) -> None:
    (artifact, *_) = Bundle(twin).artifacts("onnx")
    options = OpenVinoFacts(inference_precision=hint) if hint else FormatFacts()
    changed = {"target": target, "precision": precision, "options": options}
    made: Artifact = artifact.model_copy(update=changed)
    assert find_computed_type(made) == expected
