"""Golden vectors of chains: what TinySRKit reads of them, and how it divides images."""

from __future__ import annotations

from typing import Any

from tests.support.chains import make_chain
from tests.support.golden_network import TILE, TOYS
from tinysr.chain import Chain
from tinysr.runtime.geometry import plan
from tinysr.runtime.network.divide import Limits, divide
from tinysr.runtime.network.tiling import Grid
from tinysr.stages import Stage, Windows

_CHAINS: dict[str, tuple[Chain, int]] = {
    "tinysr": (make_chain(128, overlap=8, halos=(20, 19)), 128),
    **{name: (toy.chain, TILE) for name, toy in TOYS.items()},
}
"""Chains and the tiles of their packages, by name."""


def describe_chain(name: str) -> dict[str, Any]:
    """Return a chain as a package's metadata have it, and what follows from it."""
    chain, tile = _CHAINS[name]
    return {
        "name": name,
        "json": chain.model_dump_json(),
        "tile": tile,
        "multiple": chain.multiple,
        "functions": [
            {"name": graph, "sides": list(chain.sides(graph, tile))} for graph in chain.graphs
        ],
    }


def describe_plan(name: str, width: int, height: int) -> dict[str, Any]:
    """Return the sizes that an image goes through."""
    found = plan(width, height, _CHAINS[name][0])
    return {
        "chain": name,
        "size": list(found.size),
        "scaled": list(found.scaled),
        "padded": list(found.padded),
        "output": list(found.output),
        "resampled": found.resampled,
        "megapixels": found.megapixels,
    }


def describe_division(name: str, width: int, height: int) -> dict[str, Any]:
    """Return the runs of every stage on an image, in windows as large as the tile."""
    chain, tile = _CHAINS[name]
    parts = [_describe_part(chain, stage, width, height, tile) for stage in chain.stages]
    return {"chain": name, "size": [width, height], "parts": parts}


def _describe_part(
    chain: Chain, stage: Stage, width: int, height: int, tile: int
) -> dict[str, Any]:
    side = tile * chain.scale // chain.cell(stage)
    limits = Limits(sides=(side,) if isinstance(stage.division, Windows) else ())
    layout = divide(chain, stage, width, height, limits=limits, room=1).layout
    if isinstance(layout, Grid):
        rows, columns = ([[at] for at in places] for places in (layout.rows, layout.columns))
    else:
        rows, columns = (
            [[span.start, span.stop, span.first, span.last] for span in spans]
            for spans in (layout.rows, layout.columns)
        )
    return {"stage": stage.name, "rows": rows, "columns": columns}
