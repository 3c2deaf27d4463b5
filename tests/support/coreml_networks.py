"""Packages of small networks, converted as stages are, and computed by the interpreter."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.support.normed import SIDE
from tinysr.export.apple.coreml.narrow import narrow_selector
from tinysr.export.apple.coreml.norms import carry_norms
from tinysr.export.apple.coreml.tools import coremltools, silence_coremltools
from tinysr.export.plans.precision import KeptModule, PrecisionPlan
from tinysr.runtime.mil import Interpreter, load_program
from tinysr.runtime.mil.program import Function


def convert(
    network: nn.Module,
    folder: Path,
    *,
    naive: bool = False,
    kept: tuple[str, ...] | None = (),
    side: int = SIDE,
    sides: tuple[int, ...] = (),
) -> Function:
    """Convert a network, in fp16 but for what is kept; in fp32 where that is None."""
    ct = coremltools()
    example = torch.rand(1, 3, side, side)
    shape: Any = example.shape
    if sides:
        shapes = [(1, 3, other, other) for other in (side, *sides)]
        shape = ct.EnumeratedShapes(shapes=shapes, default=tuple(example.shape))
    precision = ct.precision.FLOAT32
    if kept is not None:
        keep = tuple(KeptModule(module=path) for path in kept)
        plan = PrecisionPlan(model_sha256="0" * 64, tile=side, keep=keep)
        selector = narrow_selector(network, network, plan)
        precision = ct.transform.FP16ComputePrecision(op_selector=selector)
    with silence_coremltools(), contextlib.nullcontext() if naive else carry_norms():
        model = ct.convert(
            torch.jit.trace(network, example),
            inputs=[ct.TensorType(name="x", shape=shape, dtype=np.float32)],
            outputs=[ct.TensorType(name="y", dtype=np.float32)],
            minimum_deployment_target=ct.target.iOS17,
            compute_precision=precision,
            skip_model_load=True,
        )
        model.save(str(folder / "net.mlpackage"))
    return load_program(folder / "net.mlpackage").functions["main"]


def compute(function: Function, image: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(Interpreter(function).run({"x": image.numpy()})["y"])


def kinds(function: Function) -> list[str]:
    return [op.kind for op in function.body.operations]
