"""The toy networks of TinySRKit's golden vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.support.chains import make_chain
from tinysr.chain import Chain
from tinysr.manifest import Artifact, BakeProof, FileEntry, Host, Manifest, Port, Source
from tinysr.runtime.network import Network
from tinysr.runtime.session import Array, Session
from tinysr.stages import IMAGE, RESULT, WHOLE, Field, Stage, StageName, Tiles, Windows

TILE, OVERLAP, HALO = 16, 2, 1
"""Of the toy networks: 8 cells a side, and what their cross-shaped filter reads."""

Map = Callable[[Array], Array]


@dataclass(frozen=True, kw_only=True, slots=True)
class Toy:
    """A network that can be written down in a few lines of any language.

    Every channel of its cells is one pixel of four. A cross-shaped filter with zero padding makes
    windows depend on their surroundings, a ramp makes tiles depend on their place.
    """

    chain: Chain
    stages: Mapping[StageName, Map]

    def upscale(self, image: Array) -> Array:
        """Run all stages on tiles ``[N, 3, t, t]``."""
        for name in self.chain.names:
            image = self.stages[name](image)
        return image

    def open(self) -> Network:
        """Open it in this runtime."""
        artifacts = tuple(self._artifact(stage) for stage in self.chain.stages)
        manifest = Manifest(
            name="toy",
            family="toy",
            config={},
            chain=self.chain,
            tile=TILE,
            source=Source(kind="toy", name="toy", sha256="0" * 64, trained=False),
            bake=BakeProof(difference=0, tolerance=0, passes=()),
            artifacts=artifacts,
            tools={},
            host=Host(system="", machine="", python=""),
        )
        return Network(manifest, {a.stage: _Stage(a, self.stages[a.stage]) for a in artifacts})

    def _artifact(self, stage: Stage) -> Artifact:
        reads, gives = self.chain.ends(stage.name)
        return Artifact(
            target="toy",
            stage=stage.name,
            precision="fp32",
            file=FileEntry(path="toy", sha256="0" * 64, size=0),
            inputs=(_port(reads, "H"),),
            outputs=(_port(gives, "h"),),
        )


class _Stage(Session):
    def __init__(self, artifact: Artifact, stage: Map) -> None:
        super().__init__(artifact)
        self._stage = stage

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        (array,) = feeds.values()
        return {self.artifact.outputs[0].name: self._stage(array)}


def _port(field: Field, side: str) -> Port:
    return Port(name=field.name, dtype="float32", shape=("N", field.channels, side, f"{side}w"))


def _read(image: Array) -> Array:
    n, c, h, w = image.shape
    split = image.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4)
    return _cross(split.reshape(n, c * 4, h // 2, w // 2))


def _restore(latents: Array) -> Array:
    side = np.arange(latents.shape[-1], dtype=np.float32)
    ramp = (side[None, :] - side[:, None]) / np.float32(len(side))
    return latents - (np.float32(0.02) * latents + np.float32(0.01) * ramp)


def _paint(cells: Array, scale: int) -> Array:
    n, c, h, w = cells.shape
    split = cells.reshape(n, c // 4, 2, 2, h, w).transpose(0, 1, 4, 2, 5, 3)
    pixels = split.reshape(n, c // 4, 2 * h, 2 * w).repeat(scale, axis=2).repeat(scale, axis=3)
    return as_bytes(pixels).astype(np.float32) / np.float32(255)  # as Core ML gives them


def _cross(x: Array) -> Array:
    around = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    sides = (
        around[..., :-2, 1:-1]
        + around[..., 2:, 1:-1]
        + around[..., 1:-1, :-2]
        + around[..., 1:-1, 2:]
    )
    return np.float32(0.8) * x + np.float32(0.05) * sides


def as_bytes(values: Array) -> NDArray[np.uint8]:
    return np.clip(values * np.float32(255) + np.float32(0.5), 0, 255).astype(np.uint8)


_TINY = Toy(
    chain=make_chain(TILE, overlap=OVERLAP, halos=(HALO, HALO), channels=12, held=1),
    stages={
        "encoder": _read,
        "transformer": _restore,
        "decoder": lambda restored: _paint(_cross(restored), 4),
    },
)

_DOUBLER = Toy(
    chain=Chain(
        scale=2,
        fields=(
            Field(name=IMAGE, channels=3, pixels_per_cell=2),
            Field(name="features", channels=12, pixels_per_cell=4),
            Field(name=RESULT, channels=3, pixels_per_cell=1),
        ),
        stages=(
            Stage(
                name="reader",
                reads=IMAGE,
                gives="features",
                division=Windows(halo=HALO),
                align=2,
                bytes_per_cell=1,
            ),
            Stage(
                name="painter",
                reads="features",
                gives=RESULT,
                division=Tiles(side=TILE // 2, overlap=OVERLAP),
                align=2,
                bytes_per_cell=1,
            ),
        ),
    ),
    stages={"reader": _read, "painter": lambda features: _paint(_restore(features), 2)},
)
"""A network of another scale, whose last stage is tiled, and gives more places than it reads."""

_SHARPENER = Toy(
    chain=Chain(
        scale=1,
        fields=(
            Field(name=IMAGE, channels=3, pixels_per_cell=1),
            Field(name=RESULT, channels=3, pixels_per_cell=1),
        ),
        stages=(
            Stage(
                name=WHOLE,
                reads=IMAGE,
                gives=RESULT,
                division=Windows(halo=2 * HALO),
                align=2,
                bytes_per_cell=1,
            ),
        ),
    ),
    stages={WHOLE: lambda image: _paint(_read(image), 1)},
)
"""A network of one stage."""

TOYS = {"tiny": _TINY, "doubler": _DOUBLER, "sharpener": _SHARPENER}
