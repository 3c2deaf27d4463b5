"""The seam metric: one where tiles leave no trace, far above where a halo is too small."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.bundles import TwinModel, edit_manifest, make_bundle
from tests.support.chains import change_stage
from tests.support.tiny_models import TILE, tiny_loaded
from tinysr.export import ExportOptions, export_bundle
from tinysr.manifest import read_manifest
from tinysr.parity import (
    SEAM_RATIO,
    SeamReference,
    compute_references,
    compute_seam_references,
    gate_bundle,
    measure_seams,
    render_html,
    run_parity,
    seam_ratio,
)
from tinysr.parity.results import SeamResult
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.registry import create
from tinysr.suite import suite


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seams") / "tiny"
    export_bundle(tiny_loaded(), folder, ExportOptions(tile=TILE))
    return folder


@pytest.fixture(scope="module")
def seam(bundle: Path) -> tuple[SeamReference, ...]:
    # Half a halo would still hide in an image of 16-pixel tiles: the photo is twice as large.
    return compute_seam_references(Bundle(bundle), tiny_loaded().model)


@pytest.fixture
def short(bundle: Path, tmp_path: Path) -> Path:
    """Return the bundle with a halo of one latent pixel."""
    folder = shutil.copytree(bundle, tmp_path / "short")

    def shorten(data: dict[str, Any]) -> None:
        for stage in ("encoder", "decoder"):
            change_stage(data, stage, division={"halo": 1})

    edit_manifest(folder, shorten)
    return folder


def measured(folder: Path, seam: tuple[SeamReference, ...]) -> SeamResult:
    (result,) = measure_seams(Bundle(folder), create("onnxruntime"), seam)
    return result


def test_right_halos_leave_no_seam(bundle: Path, seam: tuple[SeamReference, ...]) -> None:
    result = measured(bundle, seam)
    assert result.passed
    assert result.tiles == 4
    assert result.ratio == pytest.approx(1, abs=0.5)
    assert result.metrics.psnr_db is not None
    assert result.metrics.psnr_db > 100


def test_a_halo_that_is_too_small_shows_at_the_borders(
    short: Path, seam: tuple[SeamReference, ...]
) -> None:
    result = measured(short, seam)
    assert result.windows > 1
    assert result.ratio is not None
    assert result.ratio > SEAM_RATIO
    assert not result.passed
    assert "the error at borders; gate 80 dB and 4×" in result.shortcoming


def test_a_seam_fails_the_gate_and_is_named(short: Path, seam: tuple[SeamReference, ...]) -> None:
    references = compute_references(tiny_loaded().model, suite(TILE)[:2])
    report = gate_bundle(short, references, backends=[create("onnxruntime")], seam=seam)
    assert all(result.passed for result in report.results)
    assert not report.passed
    assert report.failure.startswith("tiles of onnx fp32 on onnxruntime: ")
    assert "Tiles leave seams" in (short / "reports" / "parity.html").read_text()


def test_the_report_shows_tiles(bundle: Path, seam: tuple[SeamReference, ...]) -> None:
    references = compute_references(tiny_loaded().model, suite(TILE)[:1])
    run = run_parity(Bundle(bundle), [create("onnxruntime")], references, seam=seam)
    assert run.report.passed
    assert "All artifacts pass" in render_html(run)
    assert "Error at borders" in render_html(run)


def test_what_is_not_finite_fails(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b", noise=float("inf"))
    good = compute_seam_references(Bundle(make_bundle(tmp_path / "good")), TwinModel())  # type: ignore[arg-type]
    result = measured(folder, good)
    assert (result.ratio, result.metrics.finite, result.passed) == (None, False, False)
    assert "not finite" in result.shortcoming


def test_the_ratio_is_that_of_mean_squares() -> None:
    error = np.full((3, 10, 10), 1e-3)
    at_borders = np.zeros((10, 10), bool)
    at_borders[4:6] = True
    assert seam_ratio(error, at_borders) == pytest.approx(1)
    error[:, 4:6] *= 3
    assert seam_ratio(error, at_borders) == pytest.approx(9, rel=1e-3)
    assert seam_ratio(error * 1e-9, at_borders) == pytest.approx(1)  # rounding has no pattern


def test_the_image_is_of_two_by_two_tiles_and_no_multiple_of_4(
    bundle: Path, seam: tuple[SeamReference, ...]
) -> None:
    manifest = read_manifest(bundle)
    side = seam[0].image.shape[1]
    assert manifest.tile < side < 2 * manifest.tile
    assert side % 4
