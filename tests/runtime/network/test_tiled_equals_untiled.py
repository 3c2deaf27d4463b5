"""An exported autoencoder in windows gives what it gives on the whole image, and needs its halo."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.bundles import edit_manifest
from tests.support.tiny_models import TILE, tiny_loaded
from tinysr.export import ExportOptions, export_bundle
from tinysr.manifest import read_manifest
from tinysr.runtime import Upscaler
from tinysr.stages import Windows

WINDOWS = {1: (40, 36), 2: (75, 47), 6: (91, 62), 30: (131, 90)}
"""Width and height of an image that takes so many windows, at least."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiled") / "tiny"
    export_bundle(tiny_loaded(), folder, ExportOptions(tile=TILE))
    return folder


def widest_halo(folder: Path) -> int:
    stages = read_manifest(folder).chain.stages
    return max(s.division.halo for s in stages if isinstance(s.division, Windows))


def image(width: int, height: int) -> NDArray[np.float32]:
    return np.random.default_rng(width).random((height, width, 3), np.float32)


def upscaled(
    folder: Path, pixels: NDArray[np.float32], window: int
) -> tuple[NDArray[np.float32], int]:
    """Return the result, unclipped, and the number of steps it took."""
    steps: list[int] = []
    with Upscaler(folder, backend="onnxruntime", color="none", window=window) as upscaler:
        found = upscaler.upscale(pixels * np.float32(0.2), lambda _, total: steps.append(total))
    return found, steps[-1]


@pytest.mark.parametrize("count", WINDOWS)
def test_windows_change_nothing(bundle: Path, count: int) -> None:
    pixels = image(*WINDOWS[count])
    side = 2 * 2 * widest_halo(bundle) + 10 if count > 1 else 1000
    whole, least = upscaled(bundle, pixels, 1000)
    tiled, steps = upscaled(bundle, pixels, side)
    assert steps - least >= 2 * (count - 1)
    assert whole.std() > 0.05  # there is something to get wrong
    assert np.abs(tiled - whole).max() <= 1e-5


def test_half_the_halo_is_not_enough(bundle: Path, tmp_path: Path) -> None:
    """That the halo is as small as it can be is shown in test_models_receptive_field."""
    pixels = image(131, 90)
    folder = shutil.copytree(bundle, tmp_path / "short")

    def shorten(data: dict[str, Any]) -> None:
        for stage in data["chain"]["stages"]:
            if stage["division"]["kind"] == "windows":
                stage["division"]["halo"] //= 2

    edit_manifest(folder, shorten)
    side = 4 * widest_halo(bundle) + 10
    whole, tiled = upscaled(bundle, pixels, 1000)[0], upscaled(folder, pixels, side)[0]
    assert np.abs(tiled - whole).max() > 1e-4
