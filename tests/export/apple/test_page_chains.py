"""The page tells what becomes of large images, whatever stages a model has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import edit_manifest, entry, make_bundle
from tinysr.export.apple.page import mobile_page
from tinysr.manifest import read_manifest


def words(tmp_path: Path, division: dict[str, Any]) -> str:
    """Return the page of a package of one function, whose transformer is divided so, as a line."""
    folder = make_bundle(tmp_path / "twin")
    (folder / "coreml" / "TinySR.mlpackage").mkdir(parents=True)
    (folder / "coreml" / "TinySR.mlpackage" / "model.mlmodel").write_bytes(b"model")

    def change(data: dict[str, Any]) -> None:
        data["tools"] = {"tinysr": "0.1.0"}
        data["chain"]["stages"][1].update(division=division)
        data["artifacts"] = [
            {
                "target": "coreml",
                "stage": "upscale",
                "precision": "fp16",
                "file": entry(folder, "coreml/TinySR.mlpackage/model.mlmodel").model_dump(),
                "inputs": [],
                "outputs": [],
                "options": {"function": "main", "minimum_deployment_target": "iOS17"},
            }
        ]

    edit_manifest(folder, change)
    return " ".join(mobile_page(read_manifest(folder)).split())


@pytest.mark.parametrize(
    ("division", "said"),
    [
        (
            {"kind": "tiles", "side": 16, "overlap": 4},
            "on every system.** Finished tiles are blended as pixels.",
        ),
        (
            {"kind": "windows", "halo": 3},
            "Windows of all stages in one come with their surroundings, 8 pixels on each side",
        ),
        (
            {"kind": "whole", "most_cells": 256},
            "**Larger images** than a tile are refused: `transformer` takes an image as a whole.",
        ),
    ],
)
def test_larger_images_are_told_as_the_stages_are_divided(
    tmp_path: Path, division: dict[str, Any], said: str
) -> None:
    assert said in words(tmp_path, division)
