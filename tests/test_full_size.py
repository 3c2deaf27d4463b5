"""Bounds at full size: the paper's model through the real command, and a result of 100 MP."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.project import ROOT
from tinysr.benchmarks.runtime.memory import LARGEST, LIMIT_MB, measure
from tinysr.calibration import load_ranges
from tinysr.manifest import read_manifest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

TINYSR = Path(sys.executable).parent / "tinysr"
EXPORT_SECONDS = 90
EXPORT_BYTES = 6e9
HALF_SECONDS = 120
CALIBRATE_SECONDS = 900
CALIBRATION_TILES = 32
CALIBRATE_BYTES = 8e9
TRT_SECONDS = 120
TRT_BYTES = 6e9
COREML_BYTES = 180e6


def run(*command: str | Path) -> None:
    subprocess.run([TINYSR, *command], check=True)  # noqa: S603


def peak_memory_of_children() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def test_full_size_exports_within_its_time_and_memory(tmp_path: Path) -> None:
    start = time.perf_counter()
    run("export", "tinysr", "-o", tmp_path / "tinysr", "--no-gate")
    assert time.perf_counter() - start <= EXPORT_SECONDS
    assert peak_memory_of_children() <= EXPORT_BYTES


def test_full_size_passes_its_gate(tmp_path: Path) -> None:
    folder = tmp_path / "tinysr"
    run("export", "tinysr", "-o", folder)
    assert {a.parity.result for a in read_manifest(folder).artifacts} == {"pass"}


def test_full_size_is_calibrated_and_exported_in_fp16_within_its_bounds(tmp_path: Path) -> None:
    """In one test, because the plan takes minutes to find, and the export is timed with it."""
    start = time.perf_counter()
    run("calibrate", "tinysr", "-o", tmp_path / "calibrated")
    assert time.perf_counter() - start <= CALIBRATE_SECONDS
    assert peak_memory_of_children() <= CALIBRATE_BYTES
    plan = tmp_path / "calibrated" / "plan.toml"
    assert len(load_ranges(plan.with_name("ranges.json")).images) == CALIBRATION_TILES
    start = time.perf_counter()
    half = ("--precision", "fp16", "--plan", plan)
    run("export", "tinysr", "-o", tmp_path / "tinysr", *half, "--no-gate")
    assert time.perf_counter() - start <= HALF_SECONDS
    manifest = read_manifest(tmp_path / "tinysr")
    sizes = {a.precision: sum(d.size for d in a.data) for a in manifest.artifacts}
    assert 0.5 <= sizes["fp16"] / sizes["fp32"] <= 0.51


def test_make_trt_builds_full_size_engines_within_its_time_and_memory(tmp_path: Path) -> None:
    words = ("MODEL=tinysr", "PRECISION=fp16", f"BUNDLE={tmp_path / 'tinysr'}")
    start = time.perf_counter()
    subprocess.run(  # noqa: S603
        ["make", "trt", *words],  # noqa: S607
        check=True,
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    assert time.perf_counter() - start <= TRT_SECONDS
    assert peak_memory_of_children() <= TRT_BYTES
    manifest = read_manifest(tmp_path / "tinysr")
    found = manifest.artifacts
    assert {a.stage for a in found if a.target == "tensorrt"} == set(manifest.chain.graphs)
    assert {a.parity.result for a in found} == {"not run"}


@pytest.mark.timeout(3600)
def test_the_core_ml_package_in_4_bits_is_small_and_passes_its_gate(tmp_path: Path) -> None:
    kind = ("-t", "coreml", "--precision", "w4", "--minimum-deployment-target", "iOS18")
    run("export", "tinysr", "-o", tmp_path / "tinysr", *kind)
    package = tmp_path / "tinysr" / "coreml" / "TinySR.w4.mlpackage"
    assert sum(f.stat().st_size for f in package.rglob("*") if f.is_file()) < COREML_BYTES
    found = read_manifest(tmp_path / "tinysr").artifacts
    assert {a.parity.result for a in found if a.precision == "w4"} == {"pass"}


def test_a_result_of_100_megapixels_stays_within_its_memory(tmp_path: Path) -> None:
    run("export", "tinysr-nano", "-o", tmp_path / "nano")
    use = measure(str(tmp_path / "nano"), LARGEST)
    assert use.megapixels >= 99
    assert use.beside_mb <= LIMIT_MB
