"""Bundles with make-believe engines, for the device of `fake_gpu.py`."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.bundles import PASS, TILE, edit_manifest, entry

LONGEST = 2 * TILE

LARGEST: dict[str, tuple[int, ...]] = {
    "image H": (1, 3, LONGEST, LONGEST),
    "restored h": (1, 16, LONGEST // 2, LONGEST // 2),
    f"latents {TILE // 2}": (2, 16, TILE // 2, TILE // 2),
}


def add_engines(folder: Path, *, verdict: Any = PASS, **options: Any) -> Path:
    """Give a twin bundle engines: files that name the graph they stand for."""
    version = importlib.metadata.version("tensorrt_rtx")

    made = {"flavor": "rtx", "version": version, "largest_batch": 2}

    def change(data: dict[str, Any]) -> None:
        for artifact in list(data["artifacts"]):
            stage = artifact["stage"]
            path = f"tensorrt/{stage}.fp32.engine"
            (folder / path).write_text(f"onnx/{stage}.onnx")
            side = LONGEST // 2 if stage == "decoder" else LONGEST
            data["artifacts"].append(
                artifact
                | {"target": "tensorrt", "data": [], "parity": verdict.model_dump()}
                | {"file": entry(folder, path).model_dump()}
                | {"options": {**made, "longest_side": side, **options}}
            )

    (folder / "tensorrt").mkdir()
    edit_manifest(folder, change)
    return folder


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).random(shape, np.float32)
