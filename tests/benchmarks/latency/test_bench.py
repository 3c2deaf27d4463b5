"""`tinysr bench`: what it measures, what it holds it against, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.bundles import FAIL, TILE, edit_manifest, entry, make_bundle
from tinysr.benchmarks.latency.bench import Options, bench, find_contenders
from tinysr.benchmarks.latency.judge import check_target, find_regressions
from tinysr.benchmarks.latency.probe import probe
from tinysr.benchmarks.latency.stages import COLOR, COPIES
from tinysr.benchmarks.latency.work import count_work, find_limit
from tinysr.benchmarks.machine import Energy, peak_mb, read_commit
from tinysr.benchmarks.peaks import Peaks
from tinysr.benchmarks.rows import BenchRun, read_measured, write_measured
from tinysr.benchmarks.timing import (
    QUICK,
    Rules,
    compare_runs,
    find_rules,
    summarise,
    time_in_turns,
)
from tinysr.errors import BundleError, GateError, UnsupportedError
from tinysr.runtime import Bundle, create

Run = Callable[..., tuple[int, str, str]]

PEAKS = Peaks(tops={"fp32": 2.0, "bf16": None, "int8": None}, gbps=1.0, by={})


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bench") / "twin")


@pytest.fixture(scope="module")
def measured(twin: Path) -> BenchRun:
    bundle = Bundle(twin)
    wanted = find_contenders(bundle, [create("onnxruntime")])
    return bench(bundle, wanted, Options(rules=QUICK, threads=1, device="here"))


def slower(measured: BenchRun, factor: float) -> BenchRun:
    """Return a run that took so many times as long."""
    row = measured.rows[0]
    timed = {name: getattr(row.single, name) * factor for name in ("p50", "p90", "p99")}
    single = row.single.model_copy(update=timed | {"spread": 0.0})
    return measured.model_copy(update={"rows": (row.model_copy(update={"single": single}),)})


def test_an_image_is_divided_among_its_stages(measured: BenchRun) -> None:
    (row,) = measured.rows
    assert (row.backend, row.precision, row.parity) == ("onnxruntime", "fp32", "pass")
    assert tuple(stage.name for stage in row.stages) == (
        "encoder",
        "transformer",
        "decoder",
        COLOR,
        COPIES,
    )
    assert all(stage.ms > 0 for stage in row.stages)
    assert all(stage.tops and stage.intensity for stage in row.stages[:3])
    assert {stage.limit_ms for stage in row.stages} == {None}  # quick rules measure no peaks
    assert row.single.p50 <= row.single.p90 <= row.single.p99
    assert row.single.count >= QUICK.least_count
    assert row.offline is not None
    assert row.offline > 0


def test_a_process_tells_load_time_and_memory(twin: Path) -> None:
    found = probe(twin, "onnxruntime", "fp32", TILE)
    assert 0 < found.hash_s < found.load_s
    assert found.first_ms > 0
    assert found.peak_mb is not None
    assert found.peak_mb > 20
    with pytest.raises(UnsupportedError, match=r"onnxruntime int8: .* found fp32"):
        probe(twin, "onnxruntime", "int8", TILE)


def test_opening_reads_weights_once(tmp_path: Path) -> None:
    """Hashing reads the file; the backend maps it into memory."""
    twin = make_bundle(tmp_path / "twin")
    weights = twin / "onnx" / "weights.bin"
    padding = 32_000_000
    weights.write_bytes(weights.read_bytes() + bytes(padding))

    def change(data: dict[str, Any]) -> None:
        for artifact in data["artifacts"]:
            artifact["data"] = [entry(twin, "onnx/weights.bin").model_dump()]

    before = probe(make_bundle(tmp_path / "small"), "onnxruntime", "fp32", TILE)
    edit_manifest(twin, change)
    after = probe(twin, "onnxruntime", "fp32", TILE)
    if before.read_mb is None or after.read_mb is None:
        pytest.skip("this system does not count what a process reads")
    assert after.read_mb - before.read_mb == pytest.approx(padding / 1e6, rel=0.2)


def test_precisions_are_measured_or_refused(twin: Path) -> None:
    backend = create("onnxruntime")
    assert [c.name for c in find_contenders(Bundle(twin), [backend], ["fp32"])] == [
        "onnxruntime fp32"
    ]
    with pytest.raises(BundleError, match="nothing to measure in int8: expected one of fp32"):
        find_contenders(Bundle(twin), [backend], ["int8"])


def test_what_failed_parity_is_not_measured(tmp_path: Path) -> None:
    bundle = Bundle(make_bundle(tmp_path / "twin", verdict=FAIL))
    with pytest.raises(UnsupportedError, match="failed parity"):
        bench(bundle, find_contenders(bundle, [create("onnxruntime")]), Options(rules=QUICK))


def test_a_target_is_held_at_the_90th_percentile(measured: BenchRun) -> None:
    check_target(measured.model_copy(update={"target_ms": 1e6}))
    with pytest.raises(GateError, match=r"90th percentile: expected at most 0\.001 ms"):
        check_target(measured.model_copy(update={"target_ms": 1e-3}))


def test_what_became_slower_than_the_noise_is_named(measured: BenchRun) -> None:
    steady = slower(measured, 1.0)
    assert find_regressions(steady, steady) == []
    assert find_regressions(slower(measured, 1.04), steady) == []
    assert find_regressions(steady, slower(measured, 1.5)) == []
    (said,) = find_regressions(slower(measured, 1.5), steady)
    assert "onnxruntime fp32" in said
    assert "50% slower, and the noise is 5%" in said


def test_runs_of_other_machines_are_not_compared(measured: BenchRun) -> None:
    device = measured.device.model_copy(update={"name": "elsewhere"})
    with pytest.raises(BundleError, match="another device: expected here, found elsewhere"):
        find_regressions(measured, measured.model_copy(update={"device": device}))


def test_runs_are_kept_as_files(measured: BenchRun, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_measured(path, measured)
    assert read_measured(path) == measured
    path.write_text(path.read_text().replace('"rows"', '"lines"'))
    with pytest.raises(UnsupportedError, match="found at rows: Field required"):
        read_measured(path)
    with pytest.raises(UnsupportedError, match="bench --json"):
        read_measured(tmp_path / "missing.json")


def test_the_command_measures_and_gates(twin: Path, run: Run, tmp_path: Path) -> None:
    words = ("bench", twin, "--rules", "quick", "--threads", "1")
    code, out, _ = run(*words, "--json", "b.json", "--device", "here", "--target-ms", "100000")
    assert code == 0
    assert "onnxruntime fp32" in out
    assert "rules quick; target 100000 ms" in out
    found = read_measured(tmp_path / "b.json")
    write_measured(tmp_path / "fast.json", slower(found, 1e-3))
    device = ("--device", "here")
    code, _, err = run(*words, *device, "--against", "fast.json", "--target-ms", "0.001")
    assert code == 1
    assert "slower than fast.json: onnxruntime fp32" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--rules", "fast"), 2, "unknown preset of rules 'fast': expected one of full, quick"),
        (("-b", "tensorflow"), 2, "unknown backend 'tensorflow'"),
        (("--precision", "int8"), 2, "nothing to measure in int8"),
        (("--against", "nothing.json"), 2, "nothing.json: No such file"),
    ],
)
def test_the_command_refuses(
    twin: Path, run: Run, words: tuple[str, ...], code: int, said: str
) -> None:
    found, _, err = run("bench", twin, *words)
    assert found == code
    assert said in err


def test_turns_change_their_order_and_warm_up_does_not_count() -> None:
    said: list[str] = []
    calls = {name: lambda name=name: said.append(name) for name in "abc"}
    rules = Rules(name="test", warmup=1, least_count=3, least_seconds=0)
    seconds = time_in_turns(calls, rules)
    assert "".join(said) == "abc" + "bca" + "cab" + "abc"
    assert {len(found) for found in seconds.values()} == {3}


def test_a_least_duration_makes_more_rounds() -> None:
    rules = Rules(name="test", warmup=0, least_count=2, least_seconds=0.05)
    seconds = time_in_turns({"a": lambda: None}, rules)
    assert len(seconds["a"]) > 2


def test_percentiles_and_ratios_are_of_all_rounds() -> None:
    found = summarise([0.001 * n for n in range(1, 102)], warmup=2)
    assert (found.p50, found.p90, found.p99) == pytest.approx((51, 91, 100))
    assert found.spread == pytest.approx(50)
    pairs = compare_runs([2.0, 4.0, 9.0], [1.0, 2.0, 3.0])
    assert (pairs.low, pairs.median, pairs.high) == pytest.approx((2.0, 2.0, 2.5))
    with pytest.raises(UnsupportedError, match="expected one of full, quick"):
        find_rules("slow")


def test_operations_and_bytes_are_those_of_the_graph(twin: Path) -> None:
    work = count_work(Bundle(twin), "encoder", TILE)
    half = TILE // 2
    assert work.operations == 2 * 16 * half * half * 3 * 2 * 2
    assert work.weights == 16 * 3 * 2 * 2
    assert work.ports == 3 * TILE * TILE + 16 * half * half
    least = find_limit(work, "fp32", PEAKS)
    assert least is not None
    assert least.compute == pytest.approx(work.operations / 2e12 * 1e3)
    assert least.memory == pytest.approx(4 * (work.weights + work.ports) / 1e9 * 1e3)
    assert least.bound == "memory"
    assert find_limit(work, "bf16", PEAKS) is None


def test_energy_is_counted_where_the_machine_shows_it(tmp_path: Path) -> None:
    assert Energy(tmp_path).joules() is None
    counter = tmp_path / "intel-rapl:0"
    counter.mkdir()
    (counter / "energy_uj").write_text("900")
    (counter / "max_energy_range_uj").write_text("1000")
    energy = Energy(tmp_path)
    (counter / "energy_uj").write_text("2000900")
    assert energy.joules() == pytest.approx(2.0)
    (counter / "energy_uj").write_text("400")  # it ran over
    assert energy.joules() == pytest.approx(500e-6)


def test_the_process_knows_its_memory_and_its_commit() -> None:
    held = np.ones(4_000_000)
    found = peak_mb()
    assert found is not None
    assert found > held.nbytes / 1e6
    assert read_commit() == read_commit()
