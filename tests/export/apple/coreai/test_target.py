"""A Core AI asset is made, gated and run on this machine."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_models import TILE, noise
from tinysr.errors import BundleError, MissingBackendError, UnsupportedError
from tinysr.export import BakedTinySR, ExportOptions, export_bundle
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.facts import CoreAIFacts
from tinysr.manifest import read_manifest
from tinysr.models import Loaded
from tinysr.parity import compute_references, compute_seam_references, gate_bundle
from tinysr.runtime import Bundle, Upscaler, create
from tinysr.runtime.backends.coreai import CoreAISession
from tinysr.suite import suite

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
        compute_references(loaded.model, suite(TILE)[:8]),
        backends=[create("coreai")],
        seam=compute_seam_references(Bundle(bundle), loaded.model),
    )
    assert report.passed, report.failure
    assert {r.stage for r in report.results} == {"upscale", "encoder", "transformer", "decoder"}
    said = {artifact.parity.note for artifact in read_manifest(bundle).artifacts}
    assert said == {"reference interpreter, not the Neural Engine"}


def test_images_of_any_size_are_upscaled(bundle: Path, loaded: Loaded) -> None:
    photo = (noise(40, 27, 3) * 255).numpy().astype(np.uint8)
    with (
        Upscaler(bundle, backend="coreai") as found,
        Upscaler(bundle, backend="eager", model=loaded.model) as expected,
    ):
        difference = found.upscale(photo).astype(int) - expected.upscale(photo)
    assert np.abs(difference).max() <= 4
    assert np.abs(difference).mean() < 0.5


def test_weights_are_stored_once(bundle: Path, baked: BakedTinySR) -> None:
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


@pytest.mark.parametrize(
    "error", [ValueError("no"), MissingBackendError("no"), KeyboardInterrupt()]
)
def test_what_fails_to_open_leaves_no_thread(
    error: BaseException, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(CoreAISession, "_open", fail)
    opened = Bundle(bundle)
    with pytest.raises(BundleError if isinstance(error, ValueError) else type(error)):
        create("coreai").open(opened, opened.artifact("coreai", "upscale", "fp16"))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("coreai")]


def test_what_fails_to_close_leaves_no_thread(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Bundle(bundle)
    session = create("coreai").open(opened, opened.artifact("coreai", "upscale", "fp16"))

    async def fail(*_: object) -> None:
        raise RuntimeError("it is gone")

    assert isinstance(session, CoreAISession)
    monkeypatch.setattr(type(session._opened), "__aexit__", fail)
    with pytest.raises(BundleError, match="Core AI failed to close it: it is gone"):
        session.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("coreai")]


def test_a_function_that_is_not_there_is_told(bundle: Path) -> None:
    opened = Bundle(bundle)
    artifact = opened.artifact("coreai", "upscale", "fp16")
    other = artifact.model_copy(update={"options": CoreAIFacts(function="enlarge")})
    with pytest.raises(BundleError, match="Core AI can't open it"):
        create("coreai").open(opened, other)


@pytest.mark.parametrize("precision", ["int8", "w8", "w6", "w4"])
def test_weights_in_fewer_bits_are_refused(precision: str, loaded: Loaded, tmp_path: Path) -> None:
    options = ExportOptions(targets=("coreai",), precision=precision, tile=TILE)
    words = f"coreai has no {precision} here: expected fp32 or fp16"
    with pytest.raises(UnsupportedError, match=words):
        export_bundle(loaded, tmp_path / "no", options)
