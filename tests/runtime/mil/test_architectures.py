"""The interpreter computes what PyTorch does, for networks that are none of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.architectures import ARCHITECTURES, SIDE, UNet, ViT, seeded
from tinysr.export.apple.coreml.tools import coremltools, silence_coremltools
from tinysr.runtime.mil import Interpreter, load_program
from tinysr.runtime.mil.program import Operation

pytestmark = pytest.mark.usefixtures("one_thread")

FP32_ERROR = 2e-5
FP16_ERROR = 2e-2
"""Largest error, over the largest value."""


def package(network: nn.Module, path: Path, *, system: str = "iOS17", half: bool = False) -> Path:
    """Convert a network as anyone would, and save it."""
    ct = coremltools()
    example = torch.rand(1, 3, SIDE, SIDE)
    with silence_coremltools(), torch.no_grad():
        model = ct.convert(
            torch.jit.trace(network, example),
            inputs=[ct.TensorType(name="x", shape=example.shape, dtype=np.float32)],
            outputs=[ct.TensorType(name="y", dtype=np.float32)],
            minimum_deployment_target=getattr(ct.target, system),
            compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
            skip_model_load=True,
        )
        model.save(str(path))
    return path


def interpreted(path: Path, image: np.ndarray) -> np.ndarray:
    program = load_program(path)
    return Interpreter(program.functions["main"]).run({"x": image})["y"]


def image(seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 3, SIDE, SIDE), np.float32)


def error(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_fp32_packages_compute_what_pytorch_does(kind: type[nn.Module], tmp_path: Path) -> None:
    network, x = seeded(kind), image()
    found = interpreted(package(network, tmp_path / "net.mlpackage"), x)
    assert error(found, network(torch.from_numpy(x)).numpy()) < FP32_ERROR


@pytest.mark.parametrize("kind", ARCHITECTURES[:-1])
def test_fp16_packages_differ_by_rounding_alone(kind: type[nn.Module], tmp_path: Path) -> None:
    network, x = seeded(kind), image()
    found = interpreted(package(network, tmp_path / "net.mlpackage", half=True), x)
    assert 0 < error(found, network(torch.from_numpy(x)).numpy()) < FP16_ERROR


def test_attention_may_be_one_operation(tmp_path: Path) -> None:
    network, x = seeded(ViT), image()
    path = package(network, tmp_path / "net.mlpackage", system="iOS18")
    kinds = {op.kind for op in load_program(path).functions["main"].body.operations}
    assert "scaled_dot_product_attention" in kinds
    assert error(interpreted(path, x), network(torch.from_numpy(x)).numpy()) < FP32_ERROR


def test_group_norm_overflows_silently_in_fp16_and_the_interpreter_shows_it(tmp_path: Path) -> None:
    """The variance's squares pass 65504: infinity, whose inverse makes all that is normed zero."""
    network, x = seeded(UNet, gain=2000.0), image()
    expected = network(torch.from_numpy(x)).numpy()
    assert error(interpreted(package(network, tmp_path / "wide.mlpackage"), x), expected) < 1e-3
    half = package(network, tmp_path / "half.mlpackage", half=True)
    program = load_program(half)
    seen: dict[str, tuple[str, torch.Tensor]] = {}

    def watch(op: Operation, name: str, value: torch.Tensor) -> None:
        seen.setdefault(name, (op.kind, value))

    y = Interpreter(program.functions["main"]).run({"x": x}, watch)["y"]
    overflowed = [kind for kind, value in seen.values() if not value.isfinite().all()]
    assert overflowed[0] == "square"
    assert np.isfinite(y).all()
    assert error(y, expected) > 0.1
