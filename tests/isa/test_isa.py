"""`make test-isa`: a cap is what every library takes, and what can't be capped is said."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.isa import caps as isa_caps
from tests.isa import run as isa
from tests.isa.caps import BITS, CAPS, Cap, environment, masks, missing, unable
from tests.isa.report import report

AVX2, LARGEST = CAPS[0], CAPS[-1]


@pytest.fixture(scope="module")
def capped() -> dict[str, str]:
    if reason := unable() or ", ".join(missing(AVX2)):
        pytest.skip(reason)
    return report(environment(AVX2))


def test_every_library_takes_no_more_than_its_cap(capped: dict[str, str]) -> None:
    assert capped.pop("numpy") == "AVX AVX2"
    assert capped.pop("numpy's OpenBLAS") in ("Haswell", "Zen")
    assert capped["torch"] == "AVX2"
    assert capped["openvino"].startswith("FP32 INT8, convolution ")
    assert "products of bytes saturated" in capped["onnxruntime"]  # as without VNNI
    assert {capped[f"{name} oneDNN"] for name in ("torch's", "openvino's")} == {"Intel AVX2"}
    assert not [said for said in capped.values() if "avx512" in said or "AVX-512" in said]
    for name in ("onnxruntime", "libopenvino_intel_cpu_plugin", "libtorch_cpu"):
        assert name in capped["were told"]


def test_without_a_cap_a_larger_cpu_shows(capped: dict[str, str]) -> None:
    if missing(CAPS[1]):
        pytest.skip("this CPU has no AVX-512")
    whole = report(environment(LARGEST))
    assert "AVX512F" in whole["numpy"].split()
    assert whole["torch"] == "AVX512"
    assert whole["torch's oneDNN"] != "Intel AVX2"
    assert whole["openvino's oneDNN"] != "Intel AVX2"
    # ONNX Runtime says nothing of itself: its kernels are told by what they compute.
    assert whole["onnxruntime"] != capped["onnxruntime"]


def test_a_crash_is_still_a_crash(capped: dict[str, str]) -> None:
    code = "import ctypes, faulthandler; faulthandler.enable(); ctypes.string_at(0)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(AVX2), capture_output=True, check=False)  # noqa: S603
    assert done.returncode == -11
    assert b"Segmentation fault" in done.stderr


def test_caps_grow_and_hide_what_they_do_not_name() -> None:
    for small, large in itertools.pairwise(CAPS):
        assert {*large.hidden} < {*small.hidden}
    for cap in CAPS:
        assert {*cap.hidden} <= BITS.keys()
        assert not {*cap.hidden} & {*cap.needs}
    assert len({*BITS.values()}) == len(BITS)
    assert masks(()) == "0,0,0,0,0"
    assert masks(("avx512f", "avx512_bf16", "amx_tile")) == "10000,0,1000000,20,0"


def test_tests_are_numeric_unless_they_are_known_not_to_be() -> None:
    taken = {Path(path).relative_to(isa.TESTS).as_posix() for path in isa.numeric_tests()}
    assert {"export/openvino/test_target.py", "test_end_to_end.py"} <= taken
    assert not {"isa/test_isa.py", "house/test_readme.py", "runtime/files/test_reading.py"} & taken
    for pattern in isa.NO_NUMBERS:
        assert list(isa.TESTS.glob(pattern)), f"no {pattern}: take it out"


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Replace pytest, and what libraries say, by nothing; return the commands that were run."""
    commands: list[Sequence[str]] = []

    def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, int("failing" in command))

    monkeypatch.setattr(isa, "unable", lambda: "")
    monkeypatch.setattr(isa, "environment", lambda cap: {"CAP": cap.name})
    monkeypatch.setattr(isa, "report", lambda env: {"library": f"as {env['CAP']}"})
    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_what_this_cpu_lacks_is_skipped_with_the_reason(
    runner: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacks(cap: Cap) -> list[str]:
        return [] if cap is AVX2 else ["amx_tile"]

    monkeypatch.setattr(isa, "missing", lacks)
    assert isa.main([]) == 0
    said = capsys.readouterr().out
    assert "avx2: what the libraries take\n  library: as avx2\n" in said
    assert "amx: skipped: this CPU has no amx_tile\n" in said
    assert said.endswith("amx: skipped\n")
    assert len(runner) == 1
    assert isa.main(["--cap", "avx2", "failing"]) == 1
    assert isa.main(["--cap", "amx"]) == 3


def test_where_nothing_can_be_hidden_the_settings_are_left_and_that_is_said(
    runner: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(isa, "unable", lambda: "hiding needs a C compiler")
    monkeypatch.setattr(isa, "missing", lambda _: [])
    assert isa.main(["--cap", "avx2"]) == 0
    assert "avx2: hiding needs a C compiler: by the libraries' settings" in capsys.readouterr().out
    assert len(runner) == 1


def test_settings_cap_what_obeys_them(monkeypatch: pytest.MonkeyPatch) -> None:
    if lacking := missing(AVX2):
        pytest.skip(f"this CPU has no {', '.join(lacking)}")
    monkeypatch.setattr(isa_caps, "unable", lambda: "nothing can be hidden")
    found = report(environment(AVX2))
    assert "AVX512F" not in found["numpy"].split()
    assert found["numpy's OpenBLAS"] == "Haswell"
    assert found["torch"] == "AVX2"
    assert {found[f"{name} oneDNN"] for name in ("torch's", "openvino's")} == {"Intel AVX2"}
    assert "were told" not in found
