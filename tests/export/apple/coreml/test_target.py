"""A CoreML package is made, gated and run on this machine, and damage to it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.coreml import options, plan_of
from tests.support.tiny_models import TILE, noise
from tinysr.errors import BundleError, UnsupportedError
from tinysr.export import BakedTinySR, export_bundle
from tinysr.export.apple.coreml.convert import Recipe
from tinysr.export.apple.coreml.options import CoreMLOptions
from tinysr.export.apple.coreml.package import find_licence
from tinysr.export.apple.coreml.target import COREML, _facts
from tinysr.export.apple.coreml.tools import check_numpy
from tinysr.export.apple.page import mobile_page
from tinysr.export.plans.quantization import KeptLayer, QuantizationPlan
from tinysr.export.target import Build
from tinysr.facts import CoreMLFacts
from tinysr.manifest import read_manifest
from tinysr.models import Loaded
from tinysr.parity import compute_references, compute_seam_references, gate_bundle
from tinysr.runtime import Bundle, Upscaler, create
from tinysr.runtime.mil import load_program
from tinysr.runtime.mil.program import Constant
from tinysr.suite import suite

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = ("black", "noise", "astronaut")


@pytest.fixture(scope="module")
def bundle(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four functions in one package, for iOS 18, in fp16."""
    folder = tmp_path_factory.mktemp("coreml") / "tiny"
    export_bundle(loaded, folder, options(loaded, system="iOS18"))
    return folder


def test_every_function_passes_its_gate_and_tiles_leave_no_seams(
    bundle: Path, loaded: Loaded
) -> None:
    images = [image for image in suite(TILE) if image.name in IMAGES]
    report = gate_bundle(
        bundle,
        compute_references(loaded.model, images),
        backends=[create("coreml")],
        seam=compute_seam_references(Bundle(bundle), loaded.model),
    )
    assert report.passed, report.failure
    assert [r.stage for r in report.results] == ["upscale", "encoder", "transformer", "decoder"]
    assert report.seams[0].windows > 1
    said = {artifact.parity.note for artifact in read_manifest(bundle).artifacts}
    assert said == {"reference interpreter, not the Neural Engine"}
    page = " ".join(mobile_page(read_manifest(bundle)).split())
    assert "by the backend coreml (reference interpreter, not the Neural Engine)." in page


def test_weights_are_stored_once(bundle: Path, baked: torch.nn.Module) -> None:
    weights = bundle / "coreml/TinySR.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    halves = 2 * sum(p.numel() for p in baked.state_dict().values())
    assert weights.stat().st_size < 1.3 * halves


def test_the_package_says_what_it_is(bundle: Path) -> None:
    artifact = read_manifest(bundle).artifacts[0]
    metadata = load_program(bundle / "coreml/TinySR.mlpackage").metadata
    assert metadata["author"] == "TinySR"
    assert "checkpoint 'tiny'" in metadata["license"]
    assert "16 by 16 pixels becomes 64 by 64" in metadata["description"]
    assert metadata["bundle_sha256"] == artifact.facts(CoreMLFacts).bundle_sha256


@pytest.mark.parametrize(
    ("kind", "said"),
    [("preset", "Apache-2.0"), ("single-file", "That of the checkpoint 'tinysr-n")],
)
def test_the_licence_is_told_by_the_checkpoint_s_kind_and_not_by_its_name(
    kind: str, said: str
) -> None:
    assert find_licence({"checkpoint": "tinysr-nano", "checkpoint_kind": kind}).startswith(said)


def test_the_hash_is_of_all_that_decides_what_is_in_a_package(
    loaded: Loaded, baked: BakedTinySR
) -> None:
    def found(*, kept: str = "encoder.*", layout: str = "standard", system: str = "iOS18") -> str:
        recipe = Recipe(tile=TILE, system=system, plan=plan_of(loaded, kept))
        own = {"coreml": CoreMLOptions(deployment_target=system, layout=layout)}
        facts = _facts(build_of(loaded, baked, "fp16", settings=own), recipe)
        return facts["bundle_sha256"]

    others = [found(kept="decoder.*"), found(layout="ane"), found(system="iOS17")]
    assert found() == found()
    assert len({found(), *others}) == 4


def test_int8_is_left_out_aloud(loaded: Loaded, baked: BakedTinySR) -> None:
    said: list[str] = []
    assert COREML.build is not None
    assert COREML.build(build_of(loaded, baked, "int8", progress=said.append))() == ()
    assert said == ["no CoreML package in int8: ranges of activations need a Mac"]


def build_of(loaded: Loaded, baked: BakedTinySR, precision: str, **changes: Any) -> Build:
    settings = changes.pop("settings", {})
    return Build(
        model=baked,
        baked=baked,
        bundle=Path(),
        options=replace(options(loaded, "all"), settings=settings),
        precision=precision,
        metadata={"checkpoint": "tiny"},
        progress=changes.pop("progress", lambda _: None),
    )


def test_apps_give_and_get_images(bundle: Path) -> None:
    program = load_program(bundle / "coreml/TinySR.mlpackage")
    assert program.default == "upscale"
    kinds = {f.name: (f.kind, f.shape[1:]) for f in program.functions["upscale"].features}
    assert kinds == {"image": ("image", (3, 16, 16)), "upscaled": ("image", (3, 64, 64))}
    assert program.functions["encoder"].features[0].shapes == tuple(
        (1, 3, side, side) for side in (16, 32, 64, 128)
    )


def test_the_whole_runtime_works_on_a_package(bundle: Path, loaded: Loaded) -> None:
    photo = (noise(83, 70, 3) * 255).numpy().astype(np.uint8)
    # A colour fix would see what the package clamps.
    with (
        Upscaler(bundle, backend="coreml", color="none") as found,
        Upscaler(bundle, backend="eager", model=loaded.model, color="none") as expected,
    ):
        difference = found.upscale(photo).astype(int) - expected.upscale(photo)
    assert np.abs(difference).max() <= 1


def test_fp32_needs_no_plan_and_is_exact(loaded: Loaded, tmp_path: Path) -> None:
    manifest = export_bundle(loaded, tmp_path / "wide", options(loaded, "fp32"))
    assert [a.file.path.split("/")[1] for a in manifest.artifacts] == ["TinySR.fp32.mlpackage"]
    images = [image for image in suite(TILE) if image.name in IMAGES]
    report = gate_bundle(
        tmp_path / "wide", compute_references(loaded.model, images), backends=[create("coreml")]
    )
    assert report.passed, report.failure


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"system": "iOS19"}, "unknown deployment target 'iOS19'"),
        ({"system": "iOS16"}, "expected one of iOS17, iOS18, iOS26, macOS14"),
        ({"precision": "w6"}, "palettes of channel groups need iOS18, found iOS17"),
        ({"precision": "int8"}, "coreml can't make int8"),
    ],
)
def test_what_no_package_can_be_made_for_is_refused_first(
    changes: dict[str, str], words: str, loaded: Loaded, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedError, match=words):
        export_bundle(loaded, tmp_path / "no", options(loaded, **changes))
    assert not list(tmp_path.iterdir())


def test_a_numpy_that_breaks_coremltools_is_refused() -> None:
    check_numpy("2.3.5")
    with pytest.raises(UnsupportedError, match=r"NumPy below 2\.4, found 2\.4\.0: pip install"):
        check_numpy("2.4.0")


def test_a_package_that_was_edited_is_not_opened(bundle: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "edited"
    shutil.copytree(bundle, copy)
    weights = copy / "coreml/TinySR.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    opened = Bundle(copy)
    artifact = opened.artifact("coreml", "upscale", "fp16")
    with pytest.raises(BundleError, match="the file was changed, export the bundle again"):
        create("coreml").open(opened, artifact)


@pytest.mark.parametrize(("precision", "bits"), [("w8", "int8"), ("w6", "uint6"), ("w4", "uint4")])
def test_weights_are_compressed_layer_by_layer_as_the_plan_says(
    precision: str, bits: str, loaded: Loaded, tmp_path: Path
) -> None:
    kept = "transformer.transformer_blocks.0.attn.to_qkv"
    plan = QuantizationPlan(
        model_sha256=loaded.source.sha256,
        tile=TILE,
        precision=precision,
        target="coreml",
        keep=(KeptLayer(module=kept, precision="fp16"),),
    )
    asked = replace(options(loaded, precision, "iOS18"), quantization=(plan,))
    assert not asked.list_missing()
    manifest = export_bundle(loaded, tmp_path / "small", asked)
    (package,) = (tmp_path / "small/coreml").glob("*.mlpackage")
    assert package.name == f"TinySR.{precision}.mlpackage"
    body = load_program(package).functions["transformer"].body
    stored = {
        value.type.dtype
        for op in body.operations
        if op.kind.startswith("constexpr")
        for value in op.inputs.values()
        if isinstance(value, Constant)
    } | {kind.dtype for op in body.operations if op.kind == "const" for _, kind in op.outputs}
    assert bits in stored
    layers = sum(op.kind in ("linear", "conv") for op in body.operations)
    assert sum(op.kind.startswith("constexpr") for op in body.operations) == layers - 1
    assert {a.precision for a in manifest.artifacts} == {precision}
