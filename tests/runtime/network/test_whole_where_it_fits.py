"""A stage of tiles whose graph takes any size takes an image whole, where the memory allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.bundles import edit_manifest, make_bundle
from tinysr.manifest import read_manifest
from tinysr.runtime import Upscaler
from tinysr.runtime.folder.settings import FolderSettings
from tinysr.runtime.network.divide import estimate_bytes

STAGE = "decoder"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle whose decoder is of tiles, by a graph that takes any size."""
    folder = make_bundle(tmp_path / "bundle")

    def change(data: dict[str, Any]) -> None:
        _, middle, last = data["chain"]["stages"]
        assert last["name"] == STAGE
        last["division"] = {**middle["division"], "whole": True}
        last["bytes_per_pair"] = 8

    edit_manifest(folder, change)
    return folder


def image(side: int) -> NDArray[np.float32]:
    return np.random.default_rng(side).random((side, side + 3, 3), np.float32)


def infer(folder: Path, side: int, memory: float) -> tuple[NDArray[Any], tuple[str, ...]]:
    with Upscaler(folder, backend="onnxruntime", color="none", memory_mb=memory) as upscaler:
        result = upscaler.infer(image(side))
        return result.pixels(), result.divided


def test_memory_decides_and_it_is_said(bundle: Path) -> None:
    tile = read_manifest(bundle).tile
    whole, said = infer(bundle, 3 * tile, 10_000)
    assert said == (f"{STAGE} took it whole",)
    tiled, said = infer(bundle, 3 * tile, 1)
    (note,) = said
    assert note.startswith(f"{STAGE} in ")
    assert note.endswith(" blended tiles; with more --memory it is taken whole")
    assert whole.shape == tiled.shape
    assert np.abs(whole - tiled).max() < 1e-4  # the twin's decoder looks at one place


def test_attention_counts_by_pairs(bundle: Path) -> None:
    stage = read_manifest(bundle).chain.stage(STAGE)
    assert estimate_bytes(stage, 1000) == 1000 * stage.bytes_per_cell + 8_000_000


def test_a_graph_of_one_size_takes_tiles(bundle: Path) -> None:
    def fix(data: dict[str, Any]) -> None:
        side = data["chain"]["stages"][-1]["division"]["side"]
        for artifact in data["artifacts"]:
            if artifact["stage"] == STAGE:
                artifact["inputs"][0]["shape"][2:] = [side, side]
                artifact["outputs"][0]["shape"][2:] = [8 * side, 8 * side]

    edit_manifest(bundle, fix)
    tile = read_manifest(bundle).tile
    _, (note,) = infer(bundle, 2 * tile, 10_000)
    assert "blended tiles" in note


def test_memory_belongs_to_the_settings_of_such_results(bundle: Path, tmp_path: Path) -> None:
    def known(folder: Path, memory: float) -> str:
        with Upscaler(folder, backend="onnxruntime", memory_mb=memory) as upscaler:
            return FolderSettings(color="none").sha256(upscaler, "png")

    assert known(bundle, 500) != known(bundle, 900)
    plain = make_bundle(tmp_path / "plain")
    assert known(plain, 500) == known(plain, 900)
