"""A released checkpoint goes in, a bundle comes out, and upscales as diffusers' own modules do."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.checkpoint_factory import Reference, save_released
from tests.support.said import said
from tinysr.cli import main
from tinysr.errors import CheckpointError
from tinysr.manifest import read_manifest
from tinysr.parity import GATES_DB
from tinysr.runtime import Upscaler

TILE = 32
SIZES = [(20, 27), (32, 32), (33, 32), (61, 90)]  # below, at and above a tile; no multiples of 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    checkpoint: Path
    bundle: Path
    reference: Reference


def run(*words: object) -> tuple[int, str]:
    """Run the command; return its exit code, and what it said on standard error."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()) as error:
        patch.setattr(sys, "argv", ["tinysr", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0), error.getvalue()


def image(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(height * width).random((height, width, 3), np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    torch.manual_seed(80)
    root = tmp_path_factory.mktemp("released")
    reference = save_released(root / "mine")
    code, error = run("export", root / "mine", "-o", root / "bundle", "--tile", TILE)
    assert code == 0, error
    return Made(checkpoint=root / "mine", bundle=root / "bundle", reference=reference)


@pytest.fixture(scope="module")
def upscalers(made: Made) -> Iterator[tuple[Upscaler, Upscaler]]:
    with (
        Upscaler(made.bundle, color="none") as graphs,
        Upscaler(made.bundle, backend="eager", model=made.checkpoint, color="none") as eager,
    ):
        yield graphs, eager


def test_every_artifact_passed_and_the_source_is_named(made: Made) -> None:
    manifest = read_manifest(made.bundle)
    assert manifest.source.kind == "released"
    assert manifest.source.lora_sha256
    assert manifest.bake.difference <= manifest.bake.tolerance
    assert {artifact.parity.result for artifact in manifest.artifacts} == {"pass"}


def test_a_tile_is_what_diffusers_modules_make_of_it(
    made: Made, upscalers: tuple[Upscaler, Upscaler]
) -> None:
    lr = image(TILE, TILE)
    planes = torch.from_numpy(lr).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = made.reference.upscale(planes)[0].permute(1, 2, 0).clamp(0, 1)
    np.testing.assert_allclose(upscalers[0].upscale(lr), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_any_size_is_what_the_eager_model_makes_of_it(
    upscalers: tuple[Upscaler, Upscaler], height: int, width: int
) -> None:
    graphs, eager = upscalers
    result = graphs.upscale(image(height, width))
    assert result.shape == (4 * height, 4 * width, 3)
    np.testing.assert_allclose(result, eager.upscale(image(height, width)), atol=1e-4)


def test_parity_runs_again_with_the_checkpoint_and_refuses_without(made: Made) -> None:
    code, error = run("parity", made.bundle, "--model", made.checkpoint)
    assert code == 0, error
    code, error = run("parity", made.bundle)
    assert code == 2
    assert "--model" in error


def test_the_eager_backend_refuses_another_model(made: Made) -> None:
    with pytest.raises(CheckpointError, match="another model"):
        Upscaler(made.bundle, backend="eager", model="tinysr-nano")


def test_a_failed_gate_ends_with_1_and_keeps_the_bundle_aside(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GATES_DB, "fp32", 500.0)
    code, error = run("export", made.checkpoint, "-o", tmp_path / "new", "--tile", TILE)
    assert code == 1
    (line,) = said(error)
    assert "new.rejected" in line
    assert [path.name for path in tmp_path.iterdir()] == ["new.rejected"]
    rejected = read_manifest(tmp_path / "new.rejected")
    assert "fail" in {artifact.parity.result for artifact in rejected.artifacts}
