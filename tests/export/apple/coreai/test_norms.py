"""Core AI computes norms in fp32 inside, whatever type goes in."""

from __future__ import annotations

import asyncio
import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.support.normed import SIDE, build
from tests.support.tiny_models import difference, noise
from tinysr.export.model.apply_plan import apply_plan
from tinysr.export.model.typed import BORDER, as_type
from tinysr.export.plans.precision import PrecisionPlan

pytestmark = pytest.mark.usefixtures("one_thread")

FAR = 600.0
"""Gain that brings values further than 255.9 from the mean."""


class Bordered(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return as_type(self.network(x), BORDER)


def save(network: nn.Module, image: Tensor, path: Path) -> str:
    """Save an asset, and return its program's text."""
    side: Any = pytest.importorskip("coreai_torch", reason="pip install 'tinysr[coreai]'")
    runtime: Any = pytest.importorskip("coreai.runtime", reason="pip install 'tinysr[coreai]'")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.export.export(Bordered(network).eval(), (image,))
        converter = side.TorchConverter(mode=side.TorchConverter.Mode.RELEASE)
        converter.add_exported_program(
            program.run_decompositions(side.get_decomp_table()),
            input_names=["x"],
            output_names=["y"],
            entrypoint_name="main",
        )
        made = converter.to_coreai()
        made.save_asset(path, metadata=runtime.AIModelAssetMetadata())
    return str(made)


def run(path: Path, image: Tensor) -> Tensor:
    runtime: Any = pytest.importorskip("coreai.runtime")
    authoring: Any = pytest.importorskip("coreai.authoring")

    async def compute() -> Any:
        async with authoring.AIModelAsset.load(path).executable() as model:
            found = await model.load_function("main")({"x": runtime.NDArray(image.numpy())})
            return np.array(found["y"].numpy())

    return torch.from_numpy(asyncio.run(compute()))


@pytest.mark.parametrize("name", ["group_norm", "instance_norm", "rms_norm"])
def test_a_norm_in_fp16_does_not_overflow(name: str, tmp_path: Path) -> None:
    network, image = build(name, FAR), noise(1, 3, SIDE, SIDE)
    half = apply_plan(network, PrecisionPlan(model_sha256="0" * 64, tile=SIDE))
    text = save(half, image, tmp_path / "net.aimodel")
    assert difference(run(tmp_path / "net.aimodel", image), network(image)) < 3e-3
    squares = [line for line in text.splitlines() if "reduce_mean" in line]
    assert squares
    assert all("f16" not in line for line in squares)
