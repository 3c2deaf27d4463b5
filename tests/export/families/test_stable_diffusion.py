"""Baking of PiSA-SR and OSEDiff: what is folded, and what stays in fp32."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.support.tiny_models import difference, noise
from tests.support.tiny_stable_diffusion import FAMILIES, SIDE, tiny_stable_diffusion
from tinysr.calibration import HalfWalker, Walker, trace
from tinysr.export import bake
from tinysr.export.families.stable_diffusion.bake import PIPELINE
from tinysr.export.families.stable_diffusion.folds import fold_prompt
from tinysr.export.families.stable_diffusion.stages import Denoise, WideConv2d, WideStep
from tinysr.export.model.apply_plan import apply_plan
from tinysr.export.model.baked import Baked
from tinysr.export.model.fold_conditions import fold_conditions
from tinysr.export.model.fold_norms import fold_norms
from tinysr.export.model.typed import find_units
from tinysr.export.model.typed_blocks import ConstantAttention, UnbiasedLinear
from tinysr.export.plans.precision import KeptModule, PrecisionPlan
from tinysr.models.accounting import count_stage_costs
from tinysr.models.families.stable_diffusion import PRESETS, StableDiffusionSr

pytestmark = pytest.mark.usefixtures("one_thread")

ENLARGED = 4 * SIDE


@pytest.fixture(scope="module")
def models() -> dict[str, StableDiffusionSr]:
    return {family: tiny_stable_diffusion(family) for family in FAMILIES}


@pytest.fixture(scope="module")
def baked(models: dict[str, StableDiffusionSr]) -> dict[str, Baked]:
    return {family: bake(model, SIDE) for family, model in models.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_pass_keeps_every_stage(family: str, models: dict[str, StableDiffusionSr]) -> None:
    model = models[family]
    x = noise(1, 3, ENLARGED, ENLARGED)
    inputs = {}
    for stage in model.chain(SIDE).names:
        inputs[stage] = x
        x = model.run_stage(stage, x)
    folded = model
    for fold in PIPELINE[:4]:  # those behind change classes alone, which the whole is held for
        folded = fold(folded)
        assert folded is not model
    done = folded
    for fold in PIPELINE[4:]:
        done = fold(done)
    for stage, given in inputs.items():
        expected = model.run_stage(stage, given)
        assert difference(done.get_submodule(stage)(given), expected) < 1e-5, stage


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_the_same_for_every_image_is_gone(family: str, baked: dict[str, Baked]) -> None:
    names = baked[family].state_dict()
    gone = ("time_emb", "prompt", "encoder.quant_conv", "attn1.to_k.bias", ".norm1.weight")
    kept = ("resnets.0.norm1.weight", "decoder.post_quant_conv.weight", "attn2.key", "attn2.value")
    transformers = [name for name in names if ".attentions." in name]
    for part in gone[:3]:
        assert not [name for name in names if part in name], part
    assert not [n for n in transformers if ".norm" in n or "to_k.bias" in n or "to_v.bias" in n]
    for part in kept:
        assert [name for name in names if part in name], part
    blocks = [m for m in baked[family].modules() if isinstance(m, ConstantAttention)]
    assert len(blocks) == {"toc-sr": 7}.get(family, 4)
    assert not [m for m in baked[family].modules() if type(m) is nn.Linear]
    assert [m for m in baked[family].modules() if isinstance(m, UnbiasedLinear)]


def test_the_full_size_loses_53_million_parameters() -> None:
    with torch.device("meta"):
        model = StableDiffusionSr(PRESETS["pisa-sr"]).eval()
    baked = bake(model, 128)
    unet = baked.get_submodule("unet")
    constants = [m for m in unet.modules() if isinstance(m, ConstantAttention)]
    count = sum(p.numel() for p in unet.parameters())
    of_text = sum(m.key.numel() + m.value.numel() for m in constants)
    assert round((count - of_text) / 1e6, 1) == 812.4
    assert round(of_text / 1e6, 2) == 1.92
    costs = count_stage_costs(baked.chain, baked.get_submodule, 128)
    assert round(sum(cost.macs for cost in costs.values()) / 1e9, 1) == 2120.0
    assert {p.device.type for p in baked.parameters()} == {"meta"}


def test_only_osediff_has_its_last_convolution_in_the_step(baked: dict[str, Baked]) -> None:
    step = baked["osediff"].get_submodule("unet.step")
    assert isinstance(step, Denoise)
    assert isinstance(step.conv_out, WideConv2d)
    assert isinstance(baked["pisa-sr"].get_submodule("unet.step"), WideStep)
    units = {family: find_units(model) for family, model in baked.items()}
    assert "unet.net.conv_out" in units["pisa-sr"]
    assert not [path for path in units["osediff"] if path.startswith("unet.step")]
    assert "unet.net.conv_out" not in units["osediff"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plan_leaves_the_step_in_fp32(family: str, baked: dict[str, Baked]) -> None:
    keep = (KeptModule(module="encoder.*"),)
    plan = PrecisionPlan(model_sha256="0" * 64, tile=SIDE, keep=keep)
    half = apply_plan(baked[family], plan)
    types = {name: tensor.dtype for name, tensor in half.state_dict().items()}
    wide = [n for n, t in types.items() if t is torch.float32 and not n.startswith("encoder.")]
    assert wide == (
        ["unet.step.conv_out.weight", "unet.step.conv_out.bias"] if family != "pisa-sr" else []
    )
    assert {t for name, t in types.items() if name.endswith(".attn2.key")} == {torch.float16}
    image = noise(1, 3, ENLARGED, ENLARGED)
    found, expected = half(image), baked[family](image)
    assert found.dtype is torch.float32
    assert 0 < float((found - expected).square().mean().sqrt()) < 5e-3


@pytest.mark.slow
def test_a_trace_reads_enlarged_images(baked: dict[str, Baked]) -> None:
    model = baked["osediff"]
    traced = trace(model, SIDE)
    image = noise(1, 3, ENLARGED, ENLARGED)
    expected = model(image)
    assert difference(Walker(traced)(image), expected) < 3e-5
    wide = {op.name for op in traced.ops if op.module.startswith("unet.step")}
    assert wide
    assert {op.unit for op in traced.ops if op.name in wide} == {None}
    found = HalfWalker(traced, ())(image)
    half = apply_plan(model, PrecisionPlan(model_sha256="0" * 64, tile=SIDE))(image)
    error = float((half - expected).square().mean().sqrt())
    assert 0.5 * error < float((found - expected).square().mean().sqrt()) < 2 * error


def test_passes_refuse_to_run_twice_or_in_another_order(
    models: dict[str, StableDiffusionSr],
) -> None:
    model = models["pisa-sr"]
    with pytest.raises(TypeError, match="text must be folded before"):
        fold_norms(model)
    net = fold_prompt(model).unet.net
    with pytest.raises(TypeError, match="folded already"):
        fold_conditions(net, torch.ones(1), model.unet.prompt)
