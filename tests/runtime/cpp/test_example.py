"""The C++ header, compiled against a stand-in for TensorRT: no wheel brings its headers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.project import ROOT

COMPILER = shutil.which("g++") or shutil.which("clang++")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler: neither g++ nor clang++")

TILE = 5


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("cpp") / "example"
    stand_in = Path(__file__).parent
    words = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{stand_in}"]
    assert COMPILER is not None
    source = ROOT / "runtime" / "cpp" / "example.cpp"
    subprocess.run([COMPILER, *words, source, "-o", target], check=True)  # noqa: S603
    return target


def call(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603


def test_a_raw_tile_becomes_four_times_the_size(program: Path, tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (TILE, TILE, 3), np.uint8)
    (tmp_path / "engine").write_text(f"engine {TILE}")
    (tmp_path / "tile.rgb").write_bytes(rgb.tobytes())
    done = call(program, tmp_path / "engine", tmp_path / "tile.rgb", tmp_path / "larger.rgb")
    assert done.returncode == 0, done.stderr
    found = np.frombuffer((tmp_path / "larger.rgb").read_bytes(), np.uint8)
    np.testing.assert_array_equal(
        found.reshape(4 * TILE, 4 * TILE, 3), rgb.repeat(4, axis=0).repeat(4, axis=1)
    )


def test_what_is_wrong_is_one_line(program: Path, tmp_path: Path) -> None:
    (tmp_path / "engine").write_text(f"engine {TILE}")
    (tmp_path / "broken").write_text("nonsense")
    (tmp_path / "short.rgb").write_bytes(b"123")
    out = tmp_path / "larger.rgb"
    wrong = {
        f"expected {3 * TILE * TILE} bytes of RGB, found 3": ("engine", "short.rgb"),
        "not an engine for this machine: magic tag does not match": ("broken", "short.rgb"),
        "missing: can't be read": ("missing", "short.rgb"),
    }
    for words, (engine, tile) in wrong.items():
        done = call(program, tmp_path / engine, tmp_path / tile, out)
        assert done.returncode == 2
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
        assert not out.exists()
    assert call(program).returncode == 2
