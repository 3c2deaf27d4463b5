"""A network that somebody brings goes all the way, in every format and precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.custom_networks import (
    Rrdb,
    Span,
    Squeeze,
    Srvgg,
    Tokens,
    Unshuffled,
    compute,
    export,
)
from tinysr.export import ExportOptions
from tinysr.export.apple.coreml.options import CoreMLOptions
from tinysr.runtime import Upscaler
from tinysr.workflows.export import Exported, export_gated

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(600)]

TILE = 32


def bring(folder: Path, network: nn.Module, scale: int, *, calm: float = 0.05) -> Path:
    """Write a network whose last convolution leaves the result in about [0, 1], and its TOML."""
    last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]

    def calm_down(module: nn.Module, _: object, result: torch.Tensor) -> torch.Tensor:
        return result * calm

    last.register_forward_hook(calm_down)
    export(network, folder / "net.onnx")
    path = folder / "net.toml"
    path.write_text(f'name = "net"\nlicence = "MIT"\nfile = "net.onnx"\nscale = {scale}\n')
    return path


def exported(path: Path, *targets: str, precision: str = "fp32") -> Exported:
    settings = {"coreml": CoreMLOptions(deployment_target="iOS18")}
    options = ExportOptions(targets=targets, precision=precision, tile=TILE, settings=settings)
    return export_gated(str(path), path.parent / "bundle", options)


def test_it_passes_every_gate_in_every_format(tmp_path: Path) -> None:
    made = exported(
        bring(tmp_path, Srvgg(3), 3), "onnx", "openvino", "coreml", "tensorrt", precision="fp16"
    )
    assert made.report is not None
    assert made.report.passed, made.report.failure
    artifacts = made.manifest.artifacts
    assert {a.stage for a in artifacts} == {"upscale"}
    found = {(a.target, a.precision): a.parity.result for a in artifacts}
    assert found.pop(("tensorrt", "fp16")) == "not run"
    assert found.pop(("tensorrt", "fp32")) == "not run"
    assert found[("openvino", "bf16")] in ("pass", "not run")  # some CPUs have no bf16
    assert set(found.values()) <= {"pass", found[("openvino", "bf16")]}
    assert found.keys() >= {("onnx", "fp16"), ("openvino", "bf16"), ("coreml", "fp16")}
    assert all(seam.windows > 1 for seam in made.report.seams)


def test_it_is_quantized(tmp_path: Path) -> None:
    made = exported(bring(tmp_path, Srvgg(2), 2), "onnx", precision="w8")
    assert made.report is not None
    assert made.report.passed, made.report.failure
    assert {a.precision for a in made.manifest.artifacts} == {"fp32", "w8"}


@pytest.mark.parametrize(
    ("network", "scale", "multiple"),
    [
        (Unshuffled(), 1, 8),
        pytest.param(Rrdb(), 4, 1, marks=pytest.mark.slow),
        pytest.param(Srvgg(8), 8, 1, marks=pytest.mark.slow),
        pytest.param(Span(), 2, 1, marks=pytest.mark.slow),
    ],
)
def test_an_odd_image_is_what_the_file_makes_of_it(
    network: nn.Module, scale: int, multiple: int, tmp_path: Path
) -> None:
    made = exported(bring(tmp_path, network, scale), "onnx")
    assert made.report is not None
    assert made.report.passed, made.report.failure
    image = np.random.default_rng(2).random((45, 70, 3), np.float32)
    with Upscaler(made.folder) as upscaler:
        found = upscaler.upscale(image)
    padded = np.pad(image, (*((0, -side % multiple) for side in (45, 70)), (0, 0)), "edge")
    whole = compute(tmp_path / "net.onnx", torch.from_numpy(padded.transpose(2, 0, 1)[None].copy()))
    expected = whole[0].clamp(0, 1).permute(1, 2, 0).numpy()[: 45 * scale, : 70 * scale]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "scale"),
    [(Srvgg(3), 3), (Span(), 2), (Rrdb(), 4), (Squeeze(), 2), (Tokens(), 2), (Unshuffled(), 1)],
)
def test_core_ai_has_it_in_fp16(network: nn.Module, scale: int, tmp_path: Path) -> None:
    made = exported(bring(tmp_path, network, scale), "coreai", precision="fp16")
    assert made.report is not None
    assert made.report.passed, made.report.failure
    assert [(a.target, a.precision) for a in made.manifest.artifacts] == [("coreai", "fp16")]


@pytest.mark.slow
def test_one_with_global_context_is_quantized_to_int8(tmp_path: Path) -> None:
    made = exported(bring(tmp_path, Squeeze(), 2), "onnx", precision="int8")
    assert made.report is not None
    assert made.report.passed, made.report.failure


def test_one_with_global_context_runs_on_tiles(tmp_path: Path) -> None:
    made = exported(bring(tmp_path, Squeeze(), 2), "onnx")
    assert made.report is not None
    assert made.report.passed
    (seam,) = made.report.seams
    assert (seam.tiles, seam.windows) == (4, 0)
    image = np.random.default_rng(0).random((45, 70, 3), np.float32)
    with Upscaler(made.folder) as upscaler:
        assert upscaler.upscale(image).shape == (90, 140, 3)


def test_windows_of_an_image_are_the_whole(tmp_path: Path) -> None:
    made = exported(bring(tmp_path, Srvgg(3), 3), "onnx")
    image = np.random.default_rng(1).random((61, 83, 3), np.float32)
    results = []
    for window in (24, 200):
        with Upscaler(made.folder, window=window) as upscaler:
            assert upscaler.color == "none"
            results.append(upscaler.upscale(image))
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)
