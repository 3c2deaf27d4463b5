"""AdcSR from its checkpoint to a gated bundle, and images through it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.coreai import halve, run, save
from tests.support.tiny_adcsr import tiny_adcsr
from tinysr.export import ExportOptions, bake
from tinysr.models.families.adcsr import save_single_file
from tinysr.runtime import Upscaler
from tinysr.suite import suite
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


@pytest.mark.slow
def test_core_ai_is_exact_in_fp16_on_flat_images(tmp_path: Path) -> None:
    model = bake(tiny_adcsr(), TILE)
    half, flat = halve(model, TILE), [i.pixels for i in suite(TILE) if i.kind == "flat"]
    unet, decoder = (model.get_submodule(name) for name in model.chain.names)
    for number, image in enumerate(torch.from_numpy(np.stack(flat))):
        if number == 0:
            save(half.get_submodule("unet"), image[None], tmp_path / "unet.aimodel")
        features = run(tmp_path / "unet.aimodel", image[None])
        with torch.no_grad():
            error = decoder(features) - decoder(unet(image[None]))
        assert -10 * error.square().mean().log10() > 52


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_it_is_quantized_to_int8(tmp_path: Path) -> None:
    save_single_file(tiny_adcsr(), tmp_path / "tiny.safetensors")
    options = ExportOptions(tile=TILE, precision="int8")
    made = export_gated(str(tmp_path / "tiny.safetensors"), tmp_path / "bundle", options)
    assert made.report is not None
    assert made.report.passed, made.report.failure
    assert {a.precision for a in made.manifest.artifacts} == {"fp32", "int8"}
