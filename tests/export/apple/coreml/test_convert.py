"""Conversion: what computes in which type, and what Core ML lacks is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.chains import make_chain
from tests.support.coreml import plan_of
from tests.support.tiny_models import TILE, as_loaded, explosive_model, noise
from tinysr.errors import UnsupportedError
from tinysr.export import BakedTinySR, bake
from tinysr.export.apple.coreml.convert import Recipe, convert_stage
from tinysr.export.apple.coreml.package import save
from tinysr.export.apple.coreml.unsupported import explain_failure
from tinysr.export.apple.ports import list_functions
from tinysr.export.families.tinysr.bake import bake_tinysr
from tinysr.export.plans.quantization import Format
from tinysr.models import Loaded
from tinysr.runtime.mil import Interpreter, load_program
from tinysr.runtime.mil.program import Operation
from tinysr.suite import suite

FUNCTIONS = list_functions(make_chain(TILE))

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_kept_module_computes_in_fp32_and_all_others_in_fp16(
    loaded: Loaded, tmp_path: Path
) -> None:
    kept = ("transformer.transformer_blocks.1.norm_ff", "encoder.layers.1.*")
    recipe = Recipe(tile=TILE, system="iOS17", plan=plan_of(loaded, *kept))
    model = convert_stage(bake(loaded.model, TILE), FUNCTIONS[0], recipe)
    save({"upscale": model}, tmp_path / "net.mlpackage")
    wide: set[tuple[str, str]] = set()
    narrow: set[tuple[str, str]] = set()

    def watch(op: Operation, name: str, value: torch.Tensor) -> None:
        if op.kind in ("layer_norm", "conv", "relu", "linear"):
            (wide if value.dtype == torch.float32 else narrow).add((op.kind, op.name))

    function = load_program(tmp_path / "net.mlpackage").functions["main"]
    feed = {"image": noise(1, 3, TILE, TILE).numpy() * 255}
    Interpreter(function).run(feed, watch)
    kinds = sorted(kind for kind, _ in wide)
    assert kinds == ["conv"] * 6 + ["layer_norm"] + ["relu"] * 3
    assert len(narrow) > 40


def test_each_function_takes_its_own_part_of_the_plan(loaded: Loaded, tmp_path: Path) -> None:
    plan = plan_of(loaded, "transformer.transformer_blocks.1.norm_ff", "encoder.layers.1.*")
    encode = convert_stage(
        bake(loaded.model, TILE),
        next(ports for ports in FUNCTIONS if ports.stage == "encoder"),
        Recipe(tile=TILE, system="iOS18", plan=plan),
    )
    save({"encoder": encode}, tmp_path / "net.mlpackage")
    wide: list[str] = []

    def watch(op: Operation, _: str, value: torch.Tensor) -> None:
        if op.kind == "conv" and value.dtype == torch.float32:
            wide.append(op.name)

    (function,) = load_program(tmp_path / "net.mlpackage").functions.values()
    Interpreter(function).run({"image": noise(1, 3, TILE, TILE).numpy() * 255}, watch)
    assert len(wide) == 6


def test_the_last_convolution_is_known_though_the_image_s_scale_is_in_it(
    baked: BakedTinySR, loaded: Loaded, tmp_path: Path
) -> None:
    last = [name for name, m in baked.named_modules() if isinstance(m, torch.nn.Conv2d)][-1]
    recipe = Recipe(tile=TILE, system="iOS18", plan=plan_of(loaded, last), formats={last: "w8"})
    decode = next(ports for ports in FUNCTIONS if ports.stage == "decoder")
    save({"decoder": convert_stage(baked, decode, recipe)}, tmp_path / "net.mlpackage")
    (function,) = load_program(tmp_path / "net.mlpackage").functions.values()
    operations = function.body.operations
    kinds = [op.kind for op in operations]
    assert kinds.count("constexpr_blockwise_shift_scale") == 1
    convolutions = [op for op in operations if op.kind == "conv"]
    assert convolutions[-1].outputs[0][1].dtype == "float32"


def test_a_naive_fp16_package_overflows_and_the_planned_one_passes(tmp_path: Path) -> None:
    loaded = as_loaded(explosive_model())
    baked = bake(loaded.model, TILE)
    image = suite(TILE)[6].pixels[None]
    with torch.no_grad():
        expected = loaded.model(torch.from_numpy(image)).numpy()
    found = {}
    for name, kept in {"naive": (), "planned": ("transformer.*",)}.items():
        recipe = Recipe(tile=TILE, system="iOS17", plan=plan_of(loaded, *kept))
        path = tmp_path / f"{name}.mlpackage"
        save({"upscale": convert_stage(baked, FUNCTIONS[0], recipe)}, path)
        function = load_program(path).functions["main"]
        found[name] = Interpreter(function).run({"image": image * 255})["upscaled"] / 255
    assert not np.isfinite(found["naive"]).all()
    assert np.abs(found["planned"] - expected.clip(0, 1)).max() < 1e-2


class Bicubic(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.interpolate(x, scale_factor=4, mode="bicubic")


def test_an_operation_that_core_ml_lacks_is_named_with_its_module_and_a_way_out(
    loaded: Loaded,
) -> None:
    baked = bake_tinysr(loaded.tinysr, TILE)
    baked.encoder.resize = Bicubic()
    recipe = Recipe(tile=TILE, system="iOS17")
    with pytest.raises(UnsupportedError) as found:
        convert_stage(baked, FUNCTIONS[0], recipe)
    said = str(found.value)
    assert "Core ML has no 'upsample_bicubic2d', which the module 'encoder.resize' computes" in said
    assert "resize.py" in said


def test_other_failures_are_told_in_coremltools_own_words() -> None:
    traced = torch.jit.trace(torch.nn.ReLU(), torch.zeros(1))
    said = str(explain_failure(traced, "upscale", ValueError("input to 'relu' is\n too long")))
    assert said == "coreml/upscale: coremltools can't convert it: input to 'relu' is too long"


def test_a_planned_layer_that_the_graph_lacks_is_told(baked: BakedTinySR) -> None:
    formats: dict[str, Format] = {"encoder.layers.1.fuse": "w8", "decoder.layers.1": "w8"}
    recipe = Recipe(tile=TILE, system="iOS17", formats=formats)
    with pytest.raises(UnsupportedError, match=r"the weight of 'encoder\.layers\.1\.fuse' in the"):
        convert_stage(baked, FUNCTIONS[1], recipe)
