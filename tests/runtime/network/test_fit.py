"""Graphs are what the chain says, or the bundle is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import TwinModel, edit_manifest, make_bundle
from tests.support.chains import change_stage
from tinysr.errors import BundleError
from tinysr.runtime import Upscaler


def open_changed(folder: Path, change: Any, backend: str = "onnxruntime") -> None:
    edit_manifest(make_bundle(folder), change)
    with Upscaler(folder, backend=backend, model=TwinModel() if backend == "eager" else None):
        pass


def set_channels(data: dict[str, Any], channels: int) -> None:
    for field in data["chain"]["fields"][1:-1]:
        field["channels"] = channels


def test_graphs_of_the_chains_sizes_are_taken(tmp_path: Path) -> None:
    open_changed(tmp_path / "bundle", lambda data: data)


def test_other_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BundleError, match=r"of channels and sides \[8, 'any', 'any'\], as the chain has 'latents'"
    ):
        open_changed(tmp_path / "bundle", lambda data: set_channels(data, 8))


def test_another_tile_is_refused(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        change_stage(data, "transformer", division={"side": 20})

    with pytest.raises(BundleError, match=r"sides \[16, 20, 20\], as the chain has 'latents'"):
        open_changed(tmp_path / "bundle", change)
