"""The benchmark of the Upscaler's overhead runs and counts what it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bundles import make_bundle
from tinysr.benchmarks.runtime import overhead
from tinysr.runtime import Upscaler


def test_it_repeats_the_runs_of_the_same_tiles(tmp_path: Path) -> None:
    with Upscaler(make_bundle(tmp_path / "twin", batch=1)) as upscaler:
        sessions = dict(upscaler.sessions)
        found = overhead.measure(upscaler, (64, 32), repeats=3, warmup=1)
        assert upscaler.sessions == sessions
    assert found.calls == 1 + 3 + 1
    assert found.upscaler > found.bare > 0
    assert found.repeats == 3


def test_it_prints_a_table_and_fails_above_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(overhead, "SIZES", ((40, 40),))
    arguments = [str(make_bundle(tmp_path / "twin")), "--repeats", "2", "--warmup", "0"]
    monkeypatch.setattr(overhead, "LIMIT", 1e9)
    assert overhead.main(arguments) == 0
    assert "40×40" in capsys.readouterr().out
    monkeypatch.setattr(overhead, "LIMIT", -1.0)
    assert overhead.main(arguments) == 1


def test_bad_bundles_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert overhead.main([str(tmp_path)]) == 2
    assert "no bundle here" in capsys.readouterr().err
