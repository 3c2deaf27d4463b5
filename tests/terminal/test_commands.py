"""What commands print: every word of it, whole, in any encoding and at any width."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.bundles import make_bundle
from tests.support.project import ROOT
from tests.support.screens import ENCODINGS, WIDTHS, shown, words
from tinysr.benchmarks.record import read_record
from tinysr.benchmarks.rows import read_measured
from tinysr.benchmarks.runtime import memory, overhead
from tinysr.benchmarks.versus.compare import Comparison
from tinysr.cli import (
    calibrate,
    common,
    compare,
    doctor,
    export,
    inspect_bundle,
    inspect_model,
    inspect_steps,
    quantize,
    residency,
)
from tinysr.cli.bench import print_measured
from tinysr.runtime.mil.residency import Finding, Residency
from tinysr.terminal import Output, degrade_text
from tinysr.workflows.export import Exported

RESULTS = ROOT / "benchmarks" / "results"

SHA256 = "0123456789abcdef" * 4
DEEP = "a-folder-with-a-long-name/" * 5 + "photo → [red]x[/].png"
"""A path longer than any terminal here is wide, with what a careless program takes for a style."""

Printing = Callable[[], object]


def of_bench() -> None:
    (path,) = RESULTS.glob("bench-*-tinysr-nano.json")
    print_measured(Output(), read_measured(path))


def of_compare() -> None:
    compare._print(Comparison.model_validate(read_record(RESULTS / "precisions.json")["figures"]))


def of_parity() -> None:
    worst = SimpleNamespace(
        image="checkerboard-of-a-user", metrics=SimpleNamespace(psnr_db=134.2, finite=True)
    )
    found = {
        "artifact": "onnx/transformer int8",
        "image": "checkerboard",
        "threshold": 0.0123,
        "module": f"transformer.{'blocks.' * 12}attn",
        "note": "",
        "rows": [
            SimpleNamespace(module=f"transformer.{'blocks.' * 12}attn", error=1.25e-3),
            SimpleNamespace(module="decoder", error=None),
        ],
    }
    result = {
        "target": "onnx",
        "stage": "transformer",
        "precision": "int8",
        "side": 384,
        "backend": "onnxruntime",
        "gate_db": 80.0,
        "worst": worst,
        "passed": False,
        "verdict": SimpleNamespace(note="reference interpreter, not the Neural Engine"),
        "bisect": SimpleNamespace(**found),
    }
    seam = SimpleNamespace(
        tiles=4, windows=9, target="onnx", precision="int8", ratio=1.25, limit=4.0, passed=True
    )
    report: Any = SimpleNamespace(bundle=DEEP, results=[SimpleNamespace(**result)], seams=[seam])
    common.print_report(Output(), report)


def of_doctor() -> None:
    backend = doctor.BackendRow(
        name="onnxruntime",
        provider="tensorrt",
        ready=False,
        detail="onnxruntime 1.31.1 with cpu",
        remedy="pip install onnxruntime-gpu (in place of onnxruntime)",
    )
    versions = {f"package-number-{number}": f"{number}.12.345" for number in range(9)}
    extra = doctor.ExtraRow(name="calibrate", ready=False, versions=versions, missing=("x",))
    doctor._print([backend], [extra])


def of_residency() -> None:
    leaving = tuple(Finding(operation=f"op{n}", kind="gather_nd", reason="no op") for n in range(3))
    residency._print(DEEP, [Residency(function="main", operations=1234, leaving=leaving)])


def of_calibrate() -> None:
    module = SimpleNamespace(headroom=12.3, absmax=2048.5, op="blocks.0.attn", module="blocks.0")
    worst = SimpleNamespace(finite=True, psnr_db=54.321, image="text")
    found: Any = SimpleNamespace(
        ranges=SimpleNamespace(
            source=SimpleNamespace(name=DEEP), ops=[1] * 123, modules=[module], images=[1], tile=128
        ),
        plan=SimpleNamespace(
            keep=[SimpleNamespace(precision="fp32", module="blocks.0", reason="2.5× too large")],
            margin=4.0,
        ),
        verdict=SimpleNamespace(
            evaluation=SimpleNamespace(worst=worst, scores=[worst] * 24, gate_db=50.0)
        ),
    )
    calibrate._print(Output(), found, Path(DEEP), 123.4)


def of_quantize() -> None:
    keep = [SimpleNamespace(precision="fp16", module="blocks.11.ff.out", reason="17.25 dB")]
    plan: Any = SimpleNamespace(name="int8", method="percentiles of 99.99 %", keep=keep)
    result: Any = SimpleNamespace(said="34.56 dB on the worst image")
    quantize._tell(plan, result, as_json=False)


def of_export() -> None:
    file = SimpleNamespace(path="onnx/encoder.onnx", size=13_400_000)
    manifest: Any = SimpleNamespace(
        artifacts=[SimpleNamespace(file=file, data=())],
        bake=SimpleNamespace(difference=1.0e-6, tolerance=1e-4),
        precision_plan=None,
        quantization_plans={"int8": SimpleNamespace(path="calibration/int8.toml")},
    )
    exported = Exported(
        folder=Path(DEEP),
        manifest=manifest,
        origins={"int8": "as given"},
        report=None,
        gate_seconds=0.0,
    )
    export._print_summary(Output(), exported, 1.5)


def of_bundle(folder: Path) -> None:
    report = inspect_bundle.bundle_report(folder)
    report["source"] |= {"sha256": SHA256, "name": DEEP}
    report["tools"] = {f"package-number-{number}": f"{number}.12.345" for number in range(9)}
    inspect_bundle.print_bundle(report)


def of_overhead() -> None:
    row = overhead.Overhead(
        size=(500, 333), calls=123, upscaler=1.2345, bare=1.2, paired=0.0123, paired_spread=0.01,
        own=0.0234, own_spread=0.01, repeats=15, warmup=3,
    )  # fmt: skip
    overhead._print([row], "onnxruntime fp32: the first that works here", "adain")


def of_memory() -> None:
    use = memory.Use(megapixels=100.0, peak_mb=1234.5, result_mb=300.0, steps=1225, seconds=123.4)
    memory._print([use])


@functools.cache
def model_costs() -> dict[str, Any]:
    return inspect_model.model_report("tinysr-nano")


@functools.cache
def step_costs() -> dict[str, Any]:
    return inspect_steps.steps_report("tinysr-nano")


CASES: dict[str, Printing] = {
    "bench": of_bench,
    "compare": of_compare,
    "parity": of_parity,
    "doctor": of_doctor,
    "inspect a model": lambda: inspect_model.print_model(model_costs()),
    "inspect steps": lambda: inspect_steps.print_steps(step_costs()),
    "residency": of_residency,
    "calibrate": of_calibrate,
    "quantize": of_quantize,
    "export": of_export,
    "overhead": of_overhead,
    "memory": of_memory,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "twin")


def missing(narrow: str, wide: str, encoding: str) -> Counter[str]:
    """Return the words of the wide form that are not whole in the other."""
    wanted = Counter(words(degrade_text(" ".join(wide.split()), encoding)))
    return wanted - Counter(words(narrow))


@pytest.mark.parametrize("case", [*CASES, "inspect a bundle"])
def test_every_word_is_whole_at_any_width_in_any_encoding(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printing = CASES.get(case, lambda: of_bundle(folder))
    wide = shown(monkeypatch, printing)
    for encoding in ENCODINGS:
        for width in (*WIDTHS, None):
            said = shown(monkeypatch, printing, encoding=encoding, width=width)
            assert not missing(said, wide, encoding), f"{encoding} at {width}:\n{said}"
            assert "…" not in said


@pytest.mark.parametrize("case", ["bench", "compare", "parity", "doctor"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_but_long_words_passes_the_edge(
    case: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in shown(monkeypatch, CASES[case], width=width).splitlines():
        assert len(line) <= width or max(map(len, line.split())) > width - 5


def test_what_looks_like_a_style_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in ("parity", "residency", "calibrate", "export"):
        assert "→ [red]x[/].png" in shown(monkeypatch, CASES[case])


def test_figures_are_those_that_were_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = RESULTS.glob("bench-*-tinysr-nano.json")
    said = words(shown(monkeypatch, of_bench, encoding="ascii", width=40))
    for row in read_measured(path).rows:
        for value in (row.single.p50, row.single.p90, row.single.p99):
            assert f"{value:.1f}" in said
        for stage in row.stages:
            assert any(word.rstrip(",") == f"{stage.ms:.2f}" for word in said)
