"""A Core AI asset is made, gated and run on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_models import TILE, noise

from tinysr.errors import BundleError, UnsupportedError
from tinysr.export import ExportOptions, export_bundle
from tinysr.export.precision import PrecisionPlan
from tinysr.models import Loaded
from tinysr.parity import eager_reference, gate_bundle, seam_reference, suite
from tinysr.runtime import Bundle, Upscaler, create

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def bundle(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coreai") / "tiny"
    plan = PrecisionPlan(model_sha256=loaded.source.sha256, tile=TILE)
    options = ExportOptions(targets=("coreai",), precision="fp16", plan=plan, tile=TILE)
    export_bundle(loaded, folder, options)
    return folder


def test_every_function_passes_its_gate_and_tiles_leave_no_seams(
    bundle: Path, loaded: Loaded
) -> None:
    report = gate_bundle(
        bundle,
        eager_reference(loaded.model, suite(TILE)[:8]),
        backends=[create("coreai")],
        seam=seam_reference(Bundle(bundle), loaded.model),
    )
    assert report.passed, report.failure
    assert {r.stage for r in report.results} == {"upscale", "encoder", "transformer", "decoder"}


def test_images_of_any_size_are_upscaled(bundle: Path, loaded: Loaded) -> None:
    photo = (noise(40, 27, 3) * 255).numpy().astype(np.uint8)
    with (
        Upscaler(bundle, backend="coreai") as found,
        Upscaler(bundle, backend="eager", model=loaded.model) as expected,
    ):
        difference = found.upscale(photo).astype(int) - expected.upscale(photo)
    assert np.abs(difference).max() <= 4
    assert np.abs(difference).mean() < 0.5


def test_weights_are_stored_once(bundle: Path, baked: object) -> None:
    size = sum(file.stat().st_size for file in bundle.rglob("*.mlirb"))
    assert size < 2.5 * sum(tensor.numel() for tensor in baked.state_dict().values())


def test_a_session_that_is_closed_says_so(bundle: Path) -> None:
    opened = Bundle(bundle)
    session = create("coreai").open(opened, opened.artifact("coreai", "upscale", "fp16"))
    session.close()
    with pytest.raises(UnsupportedError, match="closed"):
        session.run({"image": noise(1, 3, TILE, TILE).numpy()})


def test_damaged_bytes_are_not_opened(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "edited"
    shutil.copytree(bundle, copy)
    (program,) = copy.rglob("*.mlirb")  # Core AI itself would end the process over it
    program.write_bytes(program.read_bytes()[:-1] + b"x")
    opened = Bundle(copy)
    with pytest.raises(BundleError, match="the file was changed, export the bundle again"):
        create("coreai").open(opened, opened.artifact("coreai", "upscale", "fp16"))


def test_a_function_that_is_not_there_is_told(bundle: Path) -> None:
    opened = Bundle(bundle)
    artifact = opened.artifact("coreai", "upscale", "fp16")
    other = artifact.model_copy(update={"options": {"function": "enlarge"}})
    with pytest.raises(BundleError, match="Core AI can't open it"):
        create("coreai").open(opened, other)


def test_weights_in_four_bits_are_refused(loaded: Loaded, tmp_path: Path) -> None:
    options = ExportOptions(targets=("coreai",), precision="w6", tile=TILE)
    with pytest.raises(UnsupportedError, match="coreai has no w6 here: expected fp32 or fp16"):
        export_bundle(loaded, tmp_path / "no", options)
