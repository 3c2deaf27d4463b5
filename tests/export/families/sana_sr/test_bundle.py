"""SANA-SR from its checkpoint to a gated bundle, and an image of odd sides through it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_sana_sr import tiny_sana_sr
from tinysr.export import ExportOptions
from tinysr.models.families.sana_sr import save_single_file
from tinysr.runtime import Upscaler
from tinysr.workflows.export import export_gated

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(900), pytest.mark.slow]


def test_it_passes_every_gate_and_takes_images_of_odd_sides(tmp_path: Path) -> None:
    save_single_file(tiny_sana_sr(), tmp_path / "tiny.safetensors")
    options = ExportOptions(tile=32)
    made = export_gated(str(tmp_path / "tiny.safetensors"), tmp_path / "bundle", options)
    assert made.report is not None
    assert made.report.passed, made.report.failure
    found = [artifact.stage for artifact in made.manifest.artifacts]
    assert found == ["encoder", "transformer", "decoder", "upscale"]
    image = np.random.default_rng(0).integers(0, 256, (71, 103, 3), np.uint8)
    with Upscaler(made.folder) as upscaler:
        assert upscaler.upscale(image).shape == (284, 412, 3)
