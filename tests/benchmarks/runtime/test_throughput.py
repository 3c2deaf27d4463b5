"""The benchmark of throughput makes its photos, measures both, and fails below its limit."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tinysr.benchmarks.runtime import throughput
from tinysr.errors import ImageError
from tinysr.runtime import Upscaler


def test_photos_are_of_several_sizes_and_formats_and_all_different(tmp_path: Path) -> None:
    throughput.make_photos(tmp_path, 24)
    paths = sorted(tmp_path.iterdir())
    kinds = set()
    for path in paths:
        with Image.open(path) as image:
            kinds.add((image.size, image.format))
    assert kinds == {(size, kind) for size in throughput.SIZES for kind in ("PNG", "JPEG")}
    assert len({path.read_bytes() for path in paths}) == 24


def test_both_are_measured_on_the_same_photos(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    throughput.make_photos(folder, 3)
    with Upscaler(make_bundle(tmp_path / "twin")) as upscaler:
        found = throughput.measure(upscaler, folder, repeats=2, warmup=0)
    pixels = sum(16 * width * height for width, height in throughput.SIZES[:3])
    assert found.megapixels == pytest.approx(pixels / 1e6)
    assert (found.photos, found.repeats) == (3, 2)
    assert found.alone > 0
    assert found.lowest <= found.share <= found.highest
    assert len(list(folder.iterdir())) == 3


def test_no_photo_may_fail(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    throughput.make_photos(folder, 2)
    with (
        Upscaler(make_bundle(tmp_path / "twin"), max_megapixels=0.27) as upscaler,
        pytest.raises(ImageError, match="max_megapixels"),
    ):
        throughput.measure(upscaler, folder, repeats=1, warmup=0)


def test_it_prints_both_speeds_and_fails_below_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(make_bundle(tmp_path / "twin")), "--photos", "2", "--repeats", "1", "--warmup"]
    monkeypatch.setattr(throughput, "LIMIT", 0.0)
    assert throughput.main([*words, "0"]) == 0
    output = capsys.readouterr().out
    for text in ("onnxruntime", "2 photos", "inference alone:", "whole folder:", "share: "):
        assert text in output
    monkeypatch.setattr(throughput, "LIMIT", 1e9)
    assert throughput.main([*words, "0"]) == 1


def test_bad_bundles_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert throughput.main([str(tmp_path)]) == 2
    assert "no bundle here" in capsys.readouterr().err
