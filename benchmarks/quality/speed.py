"""Costs of a model: its products, and the time that ONNX Runtime takes, all models in turns.

Each model is exported by PyTorch's own exporter as it is, with modulation as constants where it has
any, so that the figures compare networks and not toolchains.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tinysr.errors import require
from tinysr.export import bake
from tinysr.models import TinySR

__all__ = ["SIDE", "Speed", "measure_speed"]

SIDE = 128
"""Side of the image that is enlarged, in pixels."""

_OPSET = 20

Enlarge = Callable[[NDArray[np.float32]], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """One model's costs for one image of :data:`SIDE`²."""

    giga_macs: float
    """Multiply-accumulates, attention's included, in 10⁹."""
    seconds: float
    """Median time."""
    spread: float
    """Distance of the quartiles, in seconds."""


def measure_speed(
    models: Mapping[str, nn.Module], *, rounds: int = 5, side: int = SIDE
) -> dict[str, Speed]:
    """Return each model's costs: one round to warm up, then ``rounds`` in turns.

    Raises:
        MissingBackendError: ONNX Runtime is not installed.
    """
    image = np.random.default_rng(0).random((1, 3, side, side), dtype=np.float32)
    plain = {name: _bake_ours(model, side) for name, model in models.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            name: _open(model, Path(folder) / f"{index}.onnx", image)
            for index, (name, model) in enumerate(plain.items())
        }
        for number in range(rounds + 1):
            for name, run in runs.items():
                start = time.perf_counter()
                run(image)
                if number:
                    times[name].append(time.perf_counter() - start)
        runs.clear()
    return {name: _summarise(plain[name], times[name], image) for name in models}


def _bake_ours(model: nn.Module, side: int) -> nn.Module:
    return bake(model, side) if isinstance(model, TinySR) else model


def _open(model: nn.Module, path: Path, image: NDArray[np.float32]) -> Enlarge:
    onnxruntime = require("onnxruntime", extra="export")
    with torch.no_grad():
        torch.onnx.export(
            model,
            (torch.from_numpy(image),),
            path,
            dynamo=True,
            opset_version=_OPSET,
            verbose=False,
            input_names=["image"],
            output_names=["upscaled"],
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda array: session.run(None, {"image": array})


def _summarise(model: nn.Module, times: list[float], image: NDArray[np.float32]) -> Speed:
    low, middle, high = (float(v) for v in np.quantile(times, [0.25, 0.5, 0.75]))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.from_numpy(image))
    macs = counter.get_total_flops() / 2
    return Speed(giga_macs=macs / 1e9, seconds=middle, spread=high - low)
