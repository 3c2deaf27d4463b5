"""Small networks as Core AI assets, and what the reference interpreter computes of them."""

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

from tinysr.export.apple.coreai.convert import add_function, make_converter
from tinysr.export.model.apply_plan import apply_plan
from tinysr.export.model.typed import BORDER, as_type
from tinysr.export.plans.precision import PrecisionPlan

__all__ = ["halve", "run", "save"]


class Bordered(nn.Module):
    """A network whose result is fp32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return as_type(self.network(x), BORDER)


def halve(network: nn.Module, side: int) -> nn.Module:
    """Return a network in fp16 throughout."""
    return apply_plan(network, PrecisionPlan(model_sha256="0" * 64, tile=side))


def save(network: nn.Module, image: Tensor, path: Path) -> str:
    """Save an asset, and return its program's text."""
    pytest.importorskip("coreai_torch", reason="pip install 'tinysr[coreai]'")
    runtime: Any = pytest.importorskip("coreai.runtime", reason="pip install 'tinysr[coreai]'")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(Bordered(network).eval(), (image,))
        converter = make_converter()
        add_function(converter, program, name="main", reads="x", gives="y")
        made = converter.to_coreai()
        made.save_asset(path, metadata=runtime.AIModelAssetMetadata())
    return str(made)


def run(path: Path, image: Tensor) -> Tensor:
    """Return what the interpreter computes of an asset."""
    runtime: Any = pytest.importorskip("coreai.runtime")
    authoring: Any = pytest.importorskip("coreai.authoring")

    async def compute() -> Any:
        async with authoring.AIModelAsset.load(path).executable() as model:
            found = await model.load_function("main")({"x": runtime.NDArray(image.numpy())})
            return np.array(found["y"].numpy())

    return torch.from_numpy(asyncio.run(compute()))
