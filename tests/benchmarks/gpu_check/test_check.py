"""The check for GPUs, as far as a machine without one can run it. No figure here is a GPU's."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.bundles import make_bundle
from tests.support.engines import LARGEST, add_engines
from tests.support.fake_gpu import Device, Library, install
from tests.support.tiny_models import TILE, tiny_model
from tinysr.benchmarks.gpu_check import __main__ as command
from tinysr.benchmarks.gpu_check import check, folder
from tinysr.benchmarks.gpu_check.eager import METHODS, eager_rows, make_example, stage_call
from tinysr.benchmarks.gpu_check.engines import engine_rows
from tinysr.benchmarks.gpu_check.latency import measure, percentile
from tinysr.benchmarks.gpu_check.rows import make_row
from tinysr.errors import BundleError, MissingBackendError, UnsupportedError
from tinysr.runtime.bundle import Bundle


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = add_engines(make_bundle(tmp_path / "twin"))
    device = Device()
    install(Library(device=device, folder=made, largest=LARGEST), monkeypatch)
    return Bundle(made)


def test_percentiles_are_values_that_were_measured() -> None:
    times = [float(time) for time in range(1, 201)]
    assert [percentile(times, p) for p in (50, 90, 99)] == [100, 180, 198]
    assert percentile([7.0], 99) == 7.0


def test_the_first_runs_do_not_count() -> None:
    times = itertools.chain([900.0, 800.0], itertools.cycle([2.0, 1.0]))

    def timer(work: Callable[[], object]) -> float:
        work()
        return next(times)

    runs: list[int] = []
    found = measure(lambda: runs.append(1), timer, warm_up=2, repeats=10)
    assert len(runs) == 12
    assert (found.least_ms, found.p50_ms, found.p99_ms) == (1.0, 1.0, 2.0)


def test_what_can_not_be_measured_says_why() -> None:
    def broken() -> Any:
        raise RuntimeError("CUDA error:\n  out of memory")

    found = make_row(broken, model="m", stage="encoder", method="eager", precision="fp16")
    assert (found.latency, found.why_not) == (None, "CUDA error: out of memory")


def test_engines_are_measured_by_stage_and_as_a_chain(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinysr.benchmarks.gpu_check.engines.measure", brief)
    rows = list(engine_rows(bundle, "fp32"))
    stages = [(r.stage, r.method) for r in rows]
    assert stages == [
        ("encoder", "engine"),
        ("transformer", "engine"),
        ("decoder", "engine"),
        ("upscale", "chain of engines"),
    ]
    assert all(r.latency is not None and r.latency.least_ms > 0 for r in rows), rows


def brief(work: Callable[[], object], timer: Any) -> Any:
    return measure(work, timer, warm_up=1, repeats=3)


def test_engines_that_fit_are_kept(bundle: Bundle) -> None:
    assert check.with_engines(bundle, "fp32", lambda _: None) == (bundle, [])


def test_the_machine_is_described(bundle: Bundle) -> None:
    found = check.describe_machine()
    assert (found["gpu"], found["compute_capability"]) == ("Pretend", "8.6")
    assert found["tools"]["numpy"] == np.__version__


def test_the_models_stages_run_in_half_precision(one_thread: None) -> None:
    model = tiny_model().half()
    for stage in model.chain(TILE).graphs:
        result = stage_call(model, stage, TILE)(make_example(model, stage, TILE).half())
        assert result.dtype is torch.float16
        assert torch.isfinite(result).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA: the check itself is for that")
def test_without_cuda_the_eager_rows_say_so() -> None:
    rows = list(eager_rows("tiny", tiny_model(), TILE, "fp16"))
    assert len(rows) == 4 * len(METHODS)
    assert all("has no CUDA" in r.why_not for r in rows)


def test_without_a_gpu_the_command_says_so_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "find_gpu", lambda: None)
    assert command.main(["--json", str(tmp_path / "x.json")]) == 3
    said = capsys.readouterr().err
    assert "needs an NVIDIA GPU" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_bundle_that_is_missing_is_said_in_the_result(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out" / "x.json"
    assert command.main([str(tmp_path / "nowhere"), "--json", str(target)]) == 0
    record = json.loads(target.read_text())
    assert "no bundle here" in record["bundles"][0]["not_measured"]
    assert record["machine"]["gpu"] == "Pretend"


class TestFolder:
    @pytest.fixture
    def wheels(self, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        """Note pip's words; fetching half a gigabyte is no test's."""
        calls: list[list[str]] = []

        def pip(words: list[str], **_: Any) -> Any:
            calls.append(words)
            Path(words[words.index("--wheel-dir") + 1]).mkdir(parents=True)
            return subprocess.CompletedProcess(words, 0, "", "")

        monkeypatch.setattr(subprocess, "run", pip)
        return calls

    def test_it_has_wheels_bundles_and_a_script(
        self, tmp_path: Path, wheels: list[list[str]]
    ) -> None:
        source = make_bundle(tmp_path / "twin")
        folder.gather(tmp_path / "made", [source], "python3.12")
        assert wheels[0][:4] == ["python3.12", "-m", "pip", "wheel"]
        assert any(word.endswith("[rtx]") for word in wheels[0])
        assert Bundle(tmp_path / "made" / "bundles" / "twin").artifacts()
        script = (tmp_path / "made" / "run.sh").read_text()
        assert "--no-index --find-links wheels" in script
        assert "'bundles/twin' --json gpu-check.json" in script
        assert (tmp_path / "made" / "run.sh").stat().st_mode & 0o111

    def test_the_script_is_sound(self, tmp_path: Path, wheels: list[list[str]]) -> None:
        folder.gather(tmp_path / "made", [])
        words = [shutil.which("sh") or "/bin/sh", "-n", str(tmp_path / "made" / "run.sh")]
        with subprocess.Popen(words) as checking:  # noqa: S603
            assert checking.wait() == 0

    def test_damage_and_what_is_there_are_refused(
        self, tmp_path: Path, wheels: list[list[str]]
    ) -> None:
        source = make_bundle(tmp_path / "twin")
        (tmp_path / "taken").mkdir()
        (tmp_path / "taken" / "photo.jpg").touch()
        with pytest.raises(BundleError, match="something that is not a bundle"):
            folder.gather(tmp_path / "taken", [source])
        (source / "onnx" / "weights.bin").unlink()
        with pytest.raises(BundleError, match="weights"):
            folder.gather(tmp_path / "made", [source])
        assert not (tmp_path / "made").exists()

    def test_pips_words_are_passed_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failed = subprocess.CompletedProcess([], 1, "", "warning\nERROR: no such wheel\n")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
        with pytest.raises(UnsupportedError, match="can't be made: ERROR: no such wheel"):
            folder.gather(tmp_path / "made", [])
        assert not list(tmp_path.iterdir())


def test_a_missing_backend_is_no_reason_to_stop(bundle: Bundle) -> None:
    def missing() -> Any:
        raise MissingBackendError("no provider")

    assert (
        make_row(missing, model="m", stage="s", method="x", precision="fp16").why_not
        == "no provider"
    )
