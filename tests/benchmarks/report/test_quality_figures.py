"""What the documents say of the packaged weights, from a measurement of their quality."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinysr.benchmarks.quality.measure import Quality
from tinysr.benchmarks.quality.report import PhotoSet, Results
from tinysr.benchmarks.quality.speed import Speed
from tinysr.benchmarks.record import write_record
from tinysr.benchmarks.report.quality_figures import headline_lines, limit_lines, quality_lines
from tinysr.errors import UnsupportedError


def row(psnr: float, features: float | None) -> Quality:
    return Quality(psnr=psnr, ssim=0.7, features=features, lpips=None, dists=None, niqe=None)


METHODS = {
    "bicubic": row(28.0, 3.0),
    "tinysr-nano-faithful": row(28.6, 2.9),
    "tinysr-nano-faithful + adain": row(28.5, 2.95),
    "tinysr-nano-faithful, v constant": row(28.6, 2.91),
    "tinysr-nano": row(27.9, 2.5),
    "tinysr-nano + adain": row(27.8, 2.6),
    "tinysr-nano, v constant": row(28.1, 2.7),
    "peer realesrgan-x4plus": row(27.5, 2.5),
}
SPEED = {
    "tinysr-nano": Speed(giga_macs=22.7, seconds=0.25, spread=0.01),
    "peer realesrgan-x4plus": Speed(giga_macs=273.0, seconds=3.0, spread=0.02),
}


def measured(folder: Path, methods: dict[str, Quality], *, photos: str = "unwatched") -> Path:
    results = Results(photos={photos: PhotoSet(images=20, methods=methods)}, speed=SPEED, threads=2)
    write_record(folder / "quality.json", results.model_dump(mode="json"))
    return folder / "quality.json"


def test_the_headline_has_both_weights_bicubic_and_the_peer(tmp_path: Path) -> None:
    text = " ".join(headline_lines(measured(tmp_path, METHODS)))
    assert "on 20 images of photos that no training step saw" in text
    assert "`tinysr-nano` is 2.60 from the originals in the features of a network" in text
    assert "`tinysr-nano-faithful` 2.95 and bicubic 3.00" in text
    assert "mean PSNR is 27.80, 28.50 and 28.00 dB. " in text
    assert "x4plus is 2.50, at 27.50 dB, and takes 12 times as long as `tinysr-nano`." in text


def test_without_a_peer_nothing_is_compared(tmp_path: Path) -> None:
    alone = {name: row for name, row in METHODS.items() if not name.startswith("peer")}
    text = " ".join(headline_lines(measured(tmp_path, alone)))
    assert "times as long" not in text
    assert text.endswith("and 28.00 dB.")


@pytest.mark.parametrize(
    ("flat", "words"), [(2.7, "do a part of the work"), (2.6, "contribute next to nothing")]
)
def test_the_transformers_part_is_told(flat: float, words: str, tmp_path: Path) -> None:
    methods = METHODS | {"tinysr-nano, v constant": row(28.1, flat)}
    text = " ".join(" ".join(limit_lines(measured(tmp_path, methods))).split())
    assert words in text
    assert ("No try" in text) == ("next to nothing" in words)
    assert (
        "from 28.60 to 28.60 dB and from 2.90 to 2.91 in features for `tinysr-nano-faithful`"
        in text
    )
    assert f"from 2.50 to {flat:.2f} in features for `tinysr-nano`" in text


def test_tables_leave_out_what_nothing_measured(tmp_path: Path) -> None:
    lines = quality_lines(measured(tmp_path, METHODS))
    assert lines[0] == "| 20 images of held-out photos | PSNR, dB | SSIM | features |"
    assert "| peer realesrgan-x4plus | 27.5 | 0.7 | 2.5 |" in lines
    assert any(line.endswith("| 22.7 | 0.250 ± 0.010 | 12.0 |") for line in lines)


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ({"bicubic": row(28.0, 3.0)}, "expected 'tinysr-nano"),
        (
            METHODS | {"tinysr-nano + adain": row(1.0, None)},
            "expected distances in features",
        ),
    ],
)
def test_what_the_documents_need_and_lack_is_named(
    methods: dict[str, Quality], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedError, match=words):
        headline_lines(measured(tmp_path, methods))


def test_other_photos_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="expected held-out photos"):
        headline_lines(measured(tmp_path, METHODS, photos="watched"))
    write_record(tmp_path / "other.json", {"rows": []})
    with pytest.raises(UnsupportedError, match="expected what `make quality` writes"):
        quality_lines(tmp_path / "other.json")
