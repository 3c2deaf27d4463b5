"""A small model, and its bundle of graphs for any number of tiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tiny_models import TILE, tiny_model
from tinysr.export import ExportOptions, export_bundle
from tinysr.models import load_checkpoint
from tinysr.models.families.tinysr import save_single_file


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_single_file(tiny_model(), path)
    return path


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle for any number of tiles at once."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    export_bundle(load_checkpoint(checkpoint), folder, ExportOptions(tile=TILE, batch=None))
    return folder
