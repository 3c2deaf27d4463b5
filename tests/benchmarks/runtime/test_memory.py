"""The benchmark of memory runs each size by itself and holds the limit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.bundles import make_bundle
from tinysr.benchmarks.record import describe_provenance, read_record
from tinysr.benchmarks.runtime import memory
from tinysr.errors import UnsupportedError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_bundle(tmp_path_factory.mktemp("bundle") / "twin"))


def test_each_size_has_a_process_and_a_peak_of_its_own(bundle: str) -> None:
    large, small = (memory.measure(bundle, megapixels) for megapixels in (20, 1))
    assert large.megapixels == pytest.approx(20, rel=0.01)
    assert large.result_mb == pytest.approx(60, rel=0.01)
    assert large.peak_mb > small.peak_mb + 100
    assert large.steps > small.steps


def test_it_prints_a_table_and_fails_above_the_limit(
    bundle: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "new" / "memory.json"
    arguments = [bundle, "--megapixels", "0.5", "--json", str(file)]
    assert memory.main(arguments) == 0
    assert "beside it MB" in capsys.readouterr().out
    record = read_record(file)
    assert record["figures"][0]["megapixels"] == pytest.approx(0.5, rel=0.01)
    assert str(record["host"]["cores"]) in describe_provenance(record)
    monkeypatch.setattr(memory, "LIMIT_MB", 1.0)
    assert memory.main(arguments) == 1


def test_what_fails_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnsupportedError, match="no bundle here"):
        memory.measure(str(tmp_path), 1)
    assert memory.main([str(tmp_path), "--megapixels", "1"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"date": 1}'])
def test_other_files_are_no_records(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UnsupportedError, match="expected a measurement"):
        read_record(tmp_path / "a.json")
