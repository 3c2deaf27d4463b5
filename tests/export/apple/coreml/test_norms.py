"""Norms of packages in fp16 are right where their squares would overflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.coreml_networks import compute, convert, kinds
from tests.support.normed import SIDE, build
from tests.support.tiny_models import difference, noise

pytestmark = pytest.mark.usefixtures("one_thread")

FAR = 600.0
"""Gain that brings values further than 255.9 from the mean."""

HALF = 3e-3
"""Largest error of a package in fp16, over the largest value."""


@pytest.mark.parametrize("name", ["group_norm", "group_norm plain"])
def test_a_group_norm_that_overflows_step_by_step_is_one_operation(
    name: str, tmp_path: Path
) -> None:
    network, image = build(name, FAR), noise(1, 3, SIDE, SIDE)
    values = network.before(image).reshape(1, network.part.num_groups, -1)
    assert float((values - values.mean(-1, keepdim=True)).abs().max()) > 300
    expected = network(image)
    naive = convert(network, tmp_path, naive=True)
    assert "square" in kinds(naive)
    found = compute(naive, image)
    assert found.isfinite().all()
    assert difference(found, expected) > 0.3  # groups of zeros
    ours = convert(network, tmp_path)
    assert kinds(ours).count("instance_norm") == 1
    assert "square" not in kinds(ours)
    assert difference(compute(ours, image), expected) < HALF


@pytest.mark.parametrize("name", ["group_norm", "rms_norm", "instance_norm", "layer_norm"])
def test_norms_are_exact_in_fp32_and_take_every_size_that_is_offered(
    name: str, tmp_path: Path
) -> None:
    network = build(name)
    function = convert(network, tmp_path, kept=None, sides=(2 * SIDE,))
    for side in (SIDE, 2 * SIDE):
        image = noise(1, 3, side, side)
        assert difference(compute(function, image), network(image)) < 2e-5


@pytest.mark.parametrize("name", ["rms_norm", "rms_norm plain"])
def test_an_rms_norm_squares_nothing_and_gives_zeros_for_zeros(name: str, tmp_path: Path) -> None:
    network = build(name, FAR)
    network.before.bias = None
    function = convert(network, tmp_path)
    image = noise(1, 3, SIDE, SIDE)
    image[:, :, :4] = 0
    assert difference(compute(function, image), network(image)) < HALF
    assert not {"square", "reduce_mean"} & {*kinds(function)}
    naive = convert(network, tmp_path, naive=True)
    assert not compute(naive, image).isfinite().all()


def test_a_norm_that_a_plan_keeps_computes_in_fp32(tmp_path: Path) -> None:
    function = convert(build("group_norm"), tmp_path, kept=("part",))
    types = {op.kind: op.outputs[0][1].dtype for op in function.body.operations}
    assert types["instance_norm"] == types["batch_norm"] == "float32"
    assert types["conv"] == "float16"


def test_coremltools_converts_as_before_afterwards(tmp_path: Path) -> None:
    convert(build("group_norm"), tmp_path)
    assert "square" in kinds(convert(build("group_norm"), tmp_path, naive=True))
