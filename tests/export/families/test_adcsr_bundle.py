"""AdcSR from its checkpoint to a gated bundle, and images through it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tiny_adcsr import tiny_adcsr
from tinysr.export import ExportOptions
from tinysr.models.families.adcsr import save_single_file
from tinysr.runtime import Upscaler
from tinysr.workflows.export import Exported, export_gated

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(600)]

TILE = 64


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("adcsr")
    save_single_file(tiny_adcsr(), folder / "tiny.safetensors")
    options = ExportOptions(tile=TILE)
    return export_gated(str(folder / "tiny.safetensors"), folder / "bundle", options)


def test_it_passes_every_gate(made: Exported) -> None:
    assert made.report is not None
    assert made.report.passed, made.report.failure
    found = [(a.target, a.stage, a.precision) for a in made.manifest.artifacts]
    assert found == [("onnx", name, "fp32") for name in ("unet", "decoder", "upscale")]
    assert {seam.tiles for seam in made.report.seams} == {4}


def test_flat_images_are_as_exact_as_others(made: Exported) -> None:
    """Norms over places lose a flat image, unless what they read is centred before."""
    assert made.report is not None
    worst = min(
        image.metrics.psnr_db or np.inf
        for result in made.report.results
        if (result.backend, result.precision) == ("onnxruntime", "fp32")
        for image in result.images
    )
    assert worst > 95


def test_images_of_any_size_go_through_it(made: Exported) -> None:
    image = np.random.default_rng(0).integers(0, 256, (70, 101, 3), np.uint8)
    with Upscaler(made.folder) as upscaler:
        assert upscaler.color == "adain"
        assert upscaler.upscale(image).shape == (280, 404, 3)
