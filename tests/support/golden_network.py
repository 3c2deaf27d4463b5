"""The toy network of TinySRKit's golden vectors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tests.support.chains import make_chain
from tinysr.manifest import Artifact, BakeProof, FileEntry, Host, Manifest, Port, Source
from tinysr.runtime.network import Network
from tinysr.runtime.session import Array, Session
from tinysr.stages import StageName

SCALE = 4

TILE, OVERLAP, HALO = 16, 2, 1
"""Of the toy network: 8 latents a side, and what its cross-shaped filter reads."""

STAGES: tuple[StageName, ...] = ("encoder", "transformer", "decoder")


class Toy(Session):
    """A stage of a network that can be written down in a few lines of any language.

    Every channel of the latents is one pixel of four. A cross-shaped filter with zero padding makes
    windows depend on their surroundings, a ramp makes tiles depend on their place.
    """

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        (array,) = feeds.values()
        stage = {"encoder": encode, "transformer": restore, "decoder": decode}[self.artifact.stage]
        return {self.artifact.outputs[0].name: stage(array)}

    def _close(self) -> None:
        """Nothing is held."""


def encode(image: Array) -> Array:
    n, c, h, w = image.shape
    split = image.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4)
    return _cross(split.reshape(n, c * 4, h // 2, w // 2))


def restore(latents: Array) -> Array:
    side = np.arange(latents.shape[-1], dtype=np.float32)
    ramp = (side[None, :] - side[:, None]) / np.float32(len(side))
    return latents - (np.float32(0.02) * latents + np.float32(0.01) * ramp)


def decode(latents: Array) -> Array:
    n, c, h, w = latents.shape
    split = _cross(latents).reshape(n, c // 4, 2, 2, h, w).transpose(0, 1, 4, 2, 5, 3)
    pixels = split.reshape(n, c // 4, 2 * h, 2 * w).repeat(SCALE, axis=2).repeat(SCALE, axis=3)
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


def toy_network() -> Network:
    file = FileEntry(path="toy", sha256="0" * 64, size=0)
    ports: dict[StageName, tuple[Port, Port]] = {
        "encoder": (_port("image", 3, "H"), _port("latents", 12, "h")),
        "transformer": (_port("latents", 12, "t"), _port("restored", 12, "t")),
        "decoder": (_port("restored", 12, "h"), _port("upscaled", 3, "8h")),
    }
    artifacts = tuple(
        Artifact(
            target="toy",
            stage=stage,
            precision="fp32",
            file=file,
            inputs=ports[stage][:1],
            outputs=ports[stage][1:],
        )
        for stage in STAGES
    )
    manifest = Manifest(
        name="toy",
        family="toy",
        config={},
        chain=make_chain(TILE, overlap=OVERLAP, halos=(HALO, HALO), channels=12, held=1),
        tile=TILE,
        source=Source(kind="toy", name="toy", sha256="0" * 64, trained=False),
        bake=BakeProof(difference=0, tolerance=0, passes=()),
        artifacts=artifacts,
        tools={},
        host=Host(system="", machine="", python=""),
    )
    return Network(manifest, {artifact.stage: Toy(artifact) for artifact in artifacts})


def _port(name: str, channels: int, side: str) -> Port:
    return Port(name=name, dtype="float32", shape=("N", channels, side, side.upper() + "w"))


def as_bytes(values: Array) -> NDArray[np.uint8]:
    return np.clip(values * np.float32(255) + np.float32(0.5), 0, 255).astype(np.uint8)
