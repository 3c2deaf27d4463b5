"""Precision plans: read, refused, applied in PyTorch, and inherited by the graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.support.tiny_models import TILE, as_loaded, difference, noise, tiny_model
from tinysr.errors import CalibrationError, GateError, UnsupportedError
from tinysr.export import BakedTinySR, ExportOptions, bake, export_bundle
from tinysr.export.model.apply_plan import apply_plan
from tinysr.export.model.typed import find_units
from tinysr.export.plans.precision import KeptModule, PrecisionPlan, load_plan, plan_text
from tinysr.manifest import Manifest
from tinysr.models import Loaded
from tinysr.runtime import Upscaler

FP16 = 5e-3
"""Of fp16 against fp32, relative to the largest value."""

NORM = "transformer.transformer_blocks.0.norm_ff"
BLOCK = "transformer.transformer_blocks.1"


pytestmark = pytest.mark.usefixtures("one_thread")


def plan(loaded: Loaded, *keep: str, margin: float = 4.0) -> PrecisionPlan:
    kept = tuple(KeptModule(module=name, reason=f'"{name}" is large') for name in keep)
    return PrecisionPlan(model_sha256=loaded.source.sha256, tile=TILE, margin=margin, keep=kept)


def write(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plan_is_read_as_it_was_written(loaded: Loaded, tmp_path: Path) -> None:
    made = plan(loaded, NORM, f"{BLOCK}.*", margin=2.5)
    found = load_plan(write(tmp_path, plan_text(made)))
    assert found == made
    assert found.sha256 == made.sha256


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version = 1", "model_sha256"),
        ("version = [", "a plan in TOML"),
        (f'model_sha256 = "{"0" * 64}"\ntile = 16\nmargin = 0', "at margin: .* above 0, found 0"),
        (f'model_sha256 = "{"0" * 64}"\ntile = 16\nsurprise = 1', "at surprise: Extra inputs"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_with_the_place(
    text: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(CalibrationError, match=problem):
        load_plan(write(tmp_path, text))


def test_a_missing_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"none\.toml: expected a precision plan: No such"):
        load_plan(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("transformer.transformer_blocks.0.norm_fg", "did you mean '.*norm_ff'"),
        ("transformer", r"computes nothing itself: expected 'transformer\.\*'"),
    ],
)
def test_a_module_that_can_not_be_kept_is_named(
    name: str, problem: str, loaded: Loaded, baked: BakedTinySR
) -> None:
    with pytest.raises(CalibrationError, match=problem):
        apply_plan(baked, plan(loaded, name))


def test_a_type_that_no_target_has_is_unknown_to_plans(loaded: Loaded, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        plan_text(plan(loaded, NORM)).replace('precision = "fp32"', 'precision = "bf16"')
    )
    with pytest.raises(CalibrationError, match=r"keep\.0\.precision: .*'fp32', found 'bf16'"):
        load_plan(path)


def test_weights_that_fp16_can_not_hold_are_named() -> None:
    model = tiny_model()
    model.decoder.layers[0].get_parameter("weight")[0, 0] = 1e5
    with pytest.raises(GateError, match=r"decoder\.layers\.0\.weight.*keep its module in fp32"):
        apply_plan(bake(model, TILE), plan(as_loaded(model)))


def test_only_kept_modules_stay_wide(loaded: Loaded, baked: BakedTinySR) -> None:
    typed = apply_plan(baked, plan(loaded, "decoder.layers.0", f"{BLOCK}.*"))
    wide = {name for name, p in typed.named_parameters() if p.dtype is torch.float32}
    kept = {n for n in baked.state_dict() if n.startswith(("decoder.layers.0.", f"{BLOCK}."))}
    assert wide == kept
    assert typed.state_dict().keys() == baked.state_dict().keys()
    assert {p.dtype for p in baked.parameters()} == {torch.float32}  # the given model


def test_the_typed_model_computes_the_same(loaded: Loaded, baked: BakedTinySR) -> None:
    image = noise(1, 3, TILE, TILE)
    expected = baked(image)
    for keep in ((), (NORM, BLOCK), tuple(find_units(baked))):
        found = apply_plan(baked, plan(loaded, *keep))(image)
        assert found.dtype is torch.float32
        assert difference(found, expected) <= FP16
    assert torch.equal(found, expected)  # with everything kept


def test_fp16_without_a_plan_is_refused(loaded: Loaded, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"fp16 needs a precision plan.*tinysr calibrate"):
        export_bundle(loaded, tmp_path / "b", ExportOptions(tile=TILE, precision="fp16"))


def test_a_plan_of_another_model_or_tile_is_refused(loaded: Loaded, tmp_path: Path) -> None:
    other = plan(loaded).model_copy(update={"model_sha256": "0" * 64})
    options = ExportOptions(tile=TILE, precision="fp16", plan=other)
    with pytest.raises(CalibrationError, match="of another model"):
        export_bundle(loaded, tmp_path / "b", options)
    with pytest.raises(UnsupportedError, match=r"tiles of 16.*--tile 32"):
        ExportOptions(tile=32, precision="fp16", plan=plan(loaded))
    with pytest.raises(UnsupportedError, match="expected the precision fp16"):
        ExportOptions(tile=TILE, plan=plan(loaded))


@pytest.fixture(scope="module")
def bundle(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    options = ExportOptions(tile=TILE, precision="fp16", plan=plan(loaded, NORM, BLOCK))
    return folder, export_bundle(loaded, folder, options)


def test_a_bundle_holds_both_precisions_and_the_plan(
    bundle: tuple[Path, Manifest], loaded: Loaded
) -> None:
    folder, manifest = bundle
    assert [a.precision for a in manifest.artifacts] == ["fp32"] * 4 + ["fp16"] * 4
    entry = manifest.precision_plan
    assert entry is not None
    assert entry.sha256 == plan(loaded, NORM, BLOCK).sha256
    assert load_plan(folder / entry.path) == plan(loaded, NORM, BLOCK)
    assert {p.dtype for a in manifest.artifacts for p in (*a.inputs, *a.outputs)} == {"float32"}


def test_the_weights_take_half_the_bytes(bundle: tuple[Path, Manifest]) -> None:
    _, manifest = bundle
    sizes = {a.precision: sum(d.size for d in a.data) for a in manifest.artifacts}
    assert 0.5 <= sizes["fp16"] / sizes["fp32"] <= 0.6  # small files are mostly alignment


def test_casts_stand_only_where_types_meet(bundle: tuple[Path, Manifest]) -> None:
    graph = onnx.load(bundle[0] / "onnx" / "transformer.fp16.onnx", load_external_data=False).graph
    casts = [node for node in graph.node if node.op_type == "Cast"]
    # In and out of the stage; into the norm and out of it; around the kept block's own sums,
    # whose values its two norms and the last one read in fp16.
    assert 4 < len(casts) <= 12
    norms = [node for node in graph.node if node.op_type == "LayerNormalization"]
    assert len(norms) == 5


def test_an_upscaler_runs_the_precision_asked_for(bundle: tuple[Path, Manifest]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    results = {}
    for precision in ("fp32", "fp16"):
        with Upscaler(bundle[0], backend="onnxruntime", precision=precision) as upscaler:
            assert upscaler.choice.precision == precision
            results[precision] = upscaler.upscale(image).astype(int)
    assert np.abs(results["fp16"] - results["fp32"]).max() <= 2
    assert (results["fp16"] != results["fp32"]).any()
