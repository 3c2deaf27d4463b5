"""Core AI computes norms in fp32 inside, whatever type goes in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.coreai import halve, run, save
from tests.support.normed import SIDE, build
from tests.support.tiny_models import difference, noise
from tinysr.errors import UnsupportedError

pytestmark = pytest.mark.usefixtures("one_thread")

FAR = 600.0
"""Gain that brings values further than 255.9 from the mean."""


@pytest.mark.parametrize("name", ["group_norm", "instance_norm", "rms_norm"])
def test_a_norm_in_fp16_does_not_overflow(name: str, tmp_path: Path) -> None:
    network, image = build(name, FAR), noise(1, 3, SIDE, SIDE)
    text = save(halve(network, SIDE), image, tmp_path / "net.aimodel")
    assert difference(run(tmp_path / "net.aimodel", image), network(image)) < 3e-3
    squares = [line for line in text.splitlines() if "reduce_mean" in line]
    assert squares
    assert all("f16" not in line for line in squares)


@pytest.mark.parametrize(
    ("norm", "name"),
    [
        (nn.GroupNorm(2, 4, eps=1e-6), "group_norm"),
        (nn.GroupNorm(4, 4, eps=1e-6, affine=False), "group_norm"),
        (nn.InstanceNorm2d(4, eps=1e-6, affine=True), "instance_norm"),
        (nn.InstanceNorm2d(4, eps=1e-6), "instance_norm"),
    ],
)
def test_a_flat_image_stays_flat(norm: nn.Module, name: str, tmp_path: Path) -> None:
    """The deviation of such a plane is smaller than the error of a mean by addition."""
    image = torch.tensor([0.1, -0.7, 1.3, 2.9]).reshape(1, 4, 1, 1).expand(1, 4, 96, 96)
    text = save(norm, image, tmp_path / "net.aimodel")
    expected = norm.double()(image.double())
    assert (run(tmp_path / "net.aimodel", image) - expected).abs().max() < 2e-5
    assert f'composite_declaration<"{name}"' in text  # by which devices know it


def test_a_norm_with_stored_statistics_is_refused(tmp_path: Path) -> None:
    norm = nn.InstanceNorm2d(3, track_running_stats=True)
    with pytest.raises(UnsupportedError, match="make it a batch norm"):
        save(norm, noise(1, 3, SIDE, SIDE), tmp_path / "net.aimodel")
