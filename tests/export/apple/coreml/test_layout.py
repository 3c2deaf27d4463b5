"""Both layouts compute what the baked model does, and the estimate says what they are good for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.tiny_models import TILE, difference, noise
from tinysr.errors import BundleError, UnsupportedError
from tinysr.export import BakedTinySR, ExportOptions, export_bundle
from tinysr.export.apple.coreml.ane import lay_out_for_ane
from tinysr.export.apple.coreml.options import CoreMLOptions
from tinysr.export.apple.coreml.prepare import prepare
from tinysr.export.model.typed import find_units
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.models import Loaded
from tinysr.parity import compute_references, gate_bundle
from tinysr.runtime import create
from tinysr.runtime.mil import compute_plan as coreml_plan
from tinysr.runtime.mil import estimate_residency, load_program
from tinysr.suite import suite

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def bundle(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package in the Neural Engine's layout, in fp16."""
    folder = tmp_path_factory.mktemp("ane") / "tiny"
    options = ExportOptions(
        targets=("coreml",),
        precision="fp16",
        plan=PrecisionPlan(model_sha256=loaded.source.sha256, tile=TILE),
        tile=TILE,
        settings={"coreml": CoreMLOptions(layout="ane")},
    )
    export_bundle(loaded, folder, options)
    return folder


def test_preparing_a_model_keeps_its_output_and_its_paths(baked: BakedTinySR) -> None:
    lr, new = noise(1, 3, TILE, TILE), prepare(baked)
    assert difference(new(lr), baked(lr)) < 1e-5
    large = noise(1, 3, 23, 41)
    encoders = [model.get_submodule("encoder")(large) for model in (new, baked)]
    assert difference(*encoders) < 1e-5
    assert find_units(new).keys() == find_units(baked).keys()


def test_the_neural_engines_layout_keeps_the_output_and_the_paths(baked: BakedTinySR) -> None:
    lr, new = noise(1, 3, TILE, TILE), lay_out_for_ane(prepare(baked))
    assert difference(new(lr), baked(lr)) < 1e-5
    assert find_units(new).keys() == find_units(baked).keys()


def test_a_package_in_the_neural_engines_layout_passes_its_gate(
    bundle: Path, loaded: Loaded
) -> None:
    images = [i for i in suite(TILE) if i.name in ("black", "noise", "astronaut")]
    report = gate_bundle(
        bundle, compute_references(loaded.model, images), backends=[create("coreml")]
    )
    assert report.passed, report.failure


def test_it_has_no_linear_and_no_operation_that_leaves_but_casts_at_the_border(
    bundle: Path,
) -> None:
    function = load_program(bundle / "coreml/TinySR.mlpackage").functions["main"]
    kinds = [op.kind for op in function.body.operations]
    assert "linear" not in kinds
    assert "matmul" not in kinds
    found = estimate_residency(function)
    leaving = [finding for finding in found.leaving if finding.kind != "cast"]
    assert [finding.kind for finding in leaving] == ["sub"]  # the step, which is in fp32
    assert found.share > 0.95


def test_the_report_says_that_it_is_an_estimate(
    bundle: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, _ = run("residency", bundle)
    assert code == 0
    assert "estimate by rules, not measured on a Neural Engine" in out
    assert "float32 [1]" in out
    code, out, _ = run("residency", bundle, "--json")
    ((function,),) = json.loads(out).values()
    assert function["operations"] > len(function["leaving"]) > 0


def test_core_mls_own_plan_leaves_no_compiled_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What compiles and plans is a Mac's: here it is only asked, and refuses."""
    made: list[Path] = []

    def compile_model(_: str, place: str) -> str:
        made.append(Path(place))
        made[-1].mkdir()
        return place

    def load_from_path(*_: object, **__: object) -> object:
        raise RuntimeError("no plan")

    fakes = {
        "coremltools": SimpleNamespace(
            utils=SimpleNamespace(compile_model=compile_model),
            ComputeUnit=SimpleNamespace(ALL=0),
        ),
        "coremltools.models.compute_plan": SimpleNamespace(
            MLComputePlan=SimpleNamespace(load_from_path=load_from_path)
        ),
    }
    monkeypatch.setattr(coreml_plan, "require", lambda name, extra: fakes[name])
    with pytest.raises(BundleError, match="Core ML can't plan it: no plan"):
        coreml_plan.read_residency(tmp_path / "TinySR.mlpackage")
    assert made[0].name == "TinySR.mlmodelc"
    assert not made[0].parent.exists()


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="unknown layout 'nhwc': expected one of ane, stand"):
        CoreMLOptions(layout="nhwc")
