"""A chain that says that its image is enlarged first: who runs it does that, or refuses."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tiny_stable_diffusion import SIDE, tiny_stable_diffusion
from tinysr.enlarging import enlarge
from tinysr.manifest import Artifact, BakeProof, FileEntry, Host, Manifest, Port, Source
from tinysr.runtime.network import Network
from tinysr.runtime.session import Array, Session
from tinysr.runtime.store import Store

CHAIN = tiny_stable_diffusion("pisa-sr").chain(SIDE)

FILE = FileEntry(path="a", sha256="0" * 64, size=0)


class Recorder(Session):
    """Repeats or thins what it reads to the size of what it gives, and keeps the input."""

    def __init__(self, stage: str) -> None:
        reads, gives = CHAIN.ends(stage)
        into, out = (
            Port(name=f.name, dtype="float32", shape=(1, f.channels, side, side))
            for f, side in zip((reads, gives), CHAIN.sides(stage, SIDE), strict=True)
        )
        super().__init__(
            Artifact(
                target="onnx", stage=stage, precision="fp32", file=FILE, inputs=(into,),
                outputs=(out,),
            )
        )  # fmt: skip
        self.seen: list[Array] = []

    def _run(self, feeds: dict[str, Array]) -> dict[str, Array]:  # type: ignore[override]
        (x,), (out,) = feeds.values(), self.artifact.outputs
        self.seen.append(x)
        return {out.name: np.full((1, *out.shape[1:]), x.mean(), np.float32)}  # type: ignore[arg-type]


@pytest.fixture
def sessions() -> dict[str, Recorder]:
    return {name: Recorder(name) for name in CHAIN.names}


@pytest.fixture
def network(sessions: dict[str, Recorder]) -> Network:
    manifest = Manifest(
        name="a",
        family="pisa-sr",
        config={},
        chain=CHAIN,
        tile=SIDE,
        source=Source(kind="preset", name="a", sha256="0" * 64, trained=False),
        bake=BakeProof(difference=0.0, tolerance=1.0, passes=()),
        artifacts=(),
        tools={},
        host=Host(system="", machine="", python=""),
    )
    return Network(manifest, sessions)


def test_the_first_stage_reads_the_enlarged_image(
    network: Network, sessions: dict[str, Recorder]
) -> None:
    image = np.random.default_rng(0).random((3, SIDE, SIDE + 8), np.float32)
    work = network.divide(SIDE + 8, SIDE, 0)
    store = Store(3, 4 * SIDE, 4 * (SIDE + 8), compact=False)
    network.run(image, work, store)
    whole = enlarge(image, 4)
    left, right = sessions["encoder"].seen
    assert np.array_equal(left[0], whole[..., : 4 * SIDE])
    assert np.array_equal(right[0], whole[..., -4 * SIDE :])
    assert abs(store.take(0, 1).mean() - image.mean()) < 0.05


def test_the_enlarged_image_is_counted_among_the_fields(network: Network) -> None:
    image, latents = 3 * 64 * 32 * 4**2 * 4, 4 * 64 * 32 * 4
    assert network.field_bytes(64, 32) == image + latents
