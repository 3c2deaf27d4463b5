"""AdcSR's blocks with a type compute what the blocks do, and a plan sees all that is in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from tests.support.coreml_networks import compute, convert, kinds
from tests.support.norm_graphs import export_network, run_graph
from tests.support.tiny_adcsr import tiny_adcsr
from tests.support.tiny_models import difference, noise
from tinysr.calibration import HalfWalker, Trace, Walker, compute_truths, find_plan, trace
from tinysr.calibration.ranges.images import calibration_images
from tinysr.calibration.ranges.measure import measure_ranges
from tinysr.export.families.adcsr import TYPED_STAGES
from tinysr.export.model.apply_plan import apply_plan
from tinysr.export.model.typed import BORDER, find_units
from tinysr.export.model.typed_blocks import lay_out_every_linear, type_blocks
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.manifest import Source
from tinysr.models.families.adcsr import AdcSR

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE = 32

SOURCE = Source(kind="single-file", name="adcsr", sha256="0" * 64, trained=False)

NORM = "decoder.up_blocks.0.resnets.0.norm2"


def prepare(model: AdcSR) -> AdcSR:
    return lay_out_every_linear(type_blocks(model, TYPED_STAGES))


@pytest.fixture(scope="module")
def model() -> AdcSR:
    return tiny_adcsr()


@pytest.fixture(scope="module")
def traced(model: AdcSR) -> Trace:
    return trace(prepare(model), SIDE)


def test_blocks_with_a_type_are_the_same_blocks(model: AdcSR) -> None:
    typed, image = prepare(model), noise(1, 3, SIDE, SIDE)
    assert difference(typed(image), model(image)) < 3e-5
    paths = {path for path, _ in model.named_modules()}
    assert {path for path, _ in typed.named_modules()} == paths
    assert model.state_dict().keys() == typed.state_dict().keys()


def test_everything_that_computes_is_a_unit(model: AdcSR, traced: Trace) -> None:
    units = find_units(prepare(model)).keys()
    assert {op.unit for op in traced.ops} == units
    image = noise(1, 3, SIDE, SIDE)
    assert difference(Walker(traced)(image), model(image)) < 3e-5


def test_true_fp16_is_what_pytorch_computes_in_half(model: AdcSR, traced: Trace) -> None:
    image = noise(1, 3, SIDE, SIDE)
    exact = model(image)
    half = apply_plan(prepare(model), PrecisionPlan(model_sha256="0" * 64, tile=SIDE))(image)
    walked = HalfWalker(traced, ())(image)
    assert half.dtype is BORDER  # a stage's border
    error = float((half - exact).square().mean().sqrt())
    assert 0 < error < 1e-2
    assert float((walked - half).square().mean().sqrt()) < 1.5 * error


def test_the_plan_keeps_a_group_norm_that_overflows_inside(tmp_path: Path) -> None:
    model = tiny_adcsr()
    for name in ("weight", "bias"):  # the norm takes it away again: eager is not changed by it
        getattr(model.get_submodule(NORM.replace("norm2", "conv1")), name).mul_(2000)
    prepared, image = prepare(model), noise(1, 3, SIDE, SIDE)
    traced = trace(prepared, SIDE)
    expected = model(image)
    naive = HalfWalker(traced, ())(image)
    assert naive.isfinite().all()
    assert difference(naive, expected) > 0.05
    images = calibration_images(SIDE, folder=None, limit=1)
    ranges = measure_ranges(traced, images, source=SOURCE, tile=SIDE, seed=0).ranges
    plan, evaluation = find_plan(
        prepared, traced, ranges, compute_truths(traced, SIDE)[:1], margin=2.0
    )
    assert evaluation.passed
    reasons = {entry.module: entry.reason for entry in plan.keep}
    assert [*reasons] == [NORM]
    assert "group_norm.square" in reasons[NORM]
    assert difference(apply_plan(prepared, plan)(image), expected) < 1e-2
    kept = tuple(reasons)
    package = convert(prepared, tmp_path, kept=kept, side=SIDE)
    assert difference(compute(package, image), expected) < 1e-2
    assert "square" not in kinds(package)
    assert kinds(package).count("instance_norm") == sum(
        isinstance(module, nn.GroupNorm) for module in model.modules()
    )


def test_graphs_hold_no_weights(model: AdcSR, tmp_path: Path) -> None:
    half = apply_plan(prepare(model), PrecisionPlan(model_sha256="0" * 64, tile=SIDE))
    graph = export_network(half, side=SIDE)
    assert max(tensor.ByteSize() for tensor in graph.model.graph.initializer) < 1024
    inline = {*half.state_dict()} - {*graph.weights}
    assert all("norm" in path.rsplit(".", 2)[-2] for path in inline)  # reshaped, and small
    image = noise(1, 3, SIDE, SIDE)
    found = run_graph(graph, half.state_dict(), image, tmp_path)
    assert difference(found, model(image)) < 2e-2
