"""Chains of stages for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinysr.chain import Chain
from tinysr.runtime.network.tiling import Grid, blend
from tinysr.runtime.session import Array
from tinysr.stages import IMAGE, RESULT, Field, Stage, Tiles, Windows


def make_chain(
    tile: int,
    *,
    overlap: int = 4,
    halos: tuple[int, int] = (0, 0),
    channels: int = 16,
    unit: float = 1.0,
    held: int = 49152,
) -> Chain:
    """Return TinySR's stages: windows of halos around tiles, which share ``overlap`` latents."""
    latents = {"channels": channels, "pixels_per_cell": 8, "unit": unit}
    return Chain(
        scale=4,
        fields=(
            Field(name=IMAGE, channels=3, pixels_per_cell=4),
            Field(name="latents", **latents),
            Field(name="restored", **latents),
            Field(name=RESULT, channels=3, pixels_per_cell=1),
        ),
        stages=(
            Stage(
                name="encoder",
                reads=IMAGE,
                gives="latents",
                division=Windows(halo=halos[0]),
                bytes_per_cell=held,
                keep_fp32=True,
            ),
            Stage(
                name="transformer",
                reads="latents",
                gives="restored",
                division=Tiles(side=tile // 2, overlap=overlap),
                align=2,
                bytes_per_cell=held,
                restores=True,
            ),
            Stage(
                name="decoder",
                reads="restored",
                gives=RESULT,
                division=Windows(halo=halos[1]),
                bytes_per_cell=held,
            ),
        ),
    )


def change_stage(data: dict[str, Any], of: str, /, **values: Any) -> None:
    """Change a stage of a manifest's data, in place; ``division`` is merged."""
    stage = next(stage for stage in data["chain"]["stages"] if stage["name"] == of)
    division = {**stage["division"], **values.pop("division", {})}
    stage.update(values, division=division)


def blend_whole(array: Array, grid: Grid, run: Any, **options: Any) -> Array:
    """Return the blend of tiles whose results are as large as what they read."""
    whole = np.full_like(array, np.nan)

    def put(top: int, left: int, part: Array) -> None:
        rows, columns = part.shape[2:]
        whole[..., top : top + rows, left : left + columns] = part

    blend(array, grid, run, put, reads=1, writes=1, **options)
    return whole
