"""A backend that knows the reference's answers, and is wrong on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from tests.support.chains import make_chain
from tinysr.manifest import (
    Artifact,
    BakeProof,
    FileEntry,
    Host,
    Manifest,
    Port,
    Source,
    read_manifest,
    to_json,
)
from tinysr.models import ModelConfig, TransformerConfig, VaeConfig
from tinysr.parity import ParityReport, Reference, gate_bundle
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.session import Array, Availability, Backend, Session
from tinysr.stages import StageName

TILE, SCALE = 16, 0.25
CONFIG = ModelConfig(
    vae=VaeConfig(width=4, encoder_blocks=(1, 1, 1, 1), decoder_blocks=(1, 1, 1, 1)),
    transformer=TransformerConfig(depth=1, heads=1, pooled_size=8, position_grid=8),
)
PORTS: dict[StageName, tuple[str, str]] = {
    "encoder": ("image", "latents"),
    "transformer": ("latents", "restored"),
    "decoder": ("restored", "upscaled"),
    "upscale": ("image", "upscaled"),
}

Wrong = Callable[[StageName, Array], Array]


class LookUp(Session):
    """Knows the reference's answers, and changes them as it is told."""

    def __init__(
        self, artifact: Artifact, answers: list[tuple[Array, Array]], wrong: Wrong
    ) -> None:
        super().__init__(artifact)
        self._answers, self._wrong = answers, wrong

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        (batch,) = feeds.values()
        outputs = np.stack([self._answer(image) for image in batch])
        return {self.artifact.outputs[0].name: self._wrong(self.artifact.stage, outputs)}

    def _answer(self, image: Array) -> Array:
        return next(out for given, out in self._answers if np.array_equal(given, image))


class FakeBackend(Backend):
    name: ClassVar[str] = "fake"
    target: ClassVar[str] = "table"

    def __init__(self, references: tuple[Reference, ...], wrong: Wrong) -> None:
        super().__init__()
        self._references, self._wrong = references, wrong

    def availability(self) -> Availability:
        return Availability(ready=True, detail="always")

    def open(self, bundle: Bundle, artifact: Artifact) -> Session:
        bundle.path(artifact)
        ends = [r.ends(artifact.stage, bundle.manifest.chain) for r in self._references]
        return LookUp(artifact, ends, self._wrong)


def right(_stage: StageName, outputs: Array) -> Array:
    return outputs


def off_by(amount: float, where: StageName) -> Wrong:
    def wrong(stage: StageName, outputs: Array) -> Array:
        return outputs + np.float32(amount) if stage == where else outputs

    return wrong


def make_bundle(
    folder: Path, batch: int | str = 1, precision: str = "fp32", name: str = "tiny"
) -> Path:
    folder.mkdir()
    (folder / "graph").write_bytes(b"graph")
    entry = FileEntry(path="graph", sha256=hashlib.sha256(b"graph").hexdigest(), size=5)

    def port(port_name: str) -> Port:
        return Port(name=port_name, dtype="float32", shape=(batch, "C", "h", "w"))

    manifest = Manifest(
        name=name,
        family="tinysr",
        config=CONFIG.to_dict(),
        chain=make_chain(TILE, channels=CONFIG.vae.latent_channels, unit=SCALE),
        tile=TILE,
        source=Source(kind="preset", name="tiny", sha256="0" * 64, trained=False),
        bake=BakeProof(difference=0, tolerance=1e-4, passes=()),
        artifacts=tuple(
            Artifact(
                target="table",
                stage=stage,
                precision=precision,
                file=entry,
                inputs=(port(source),),
                outputs=(port(sink),),
            )
            for stage, (source, sink) in PORTS.items()
        ),
        tools={},
        host=Host(system="Any", machine="any", python="3"),
    )
    (folder / "manifest.json").write_text(to_json(manifest))
    return folder


def gated(
    folder: Path, references: tuple[Reference, ...], wrong: Wrong = right
) -> tuple[ParityReport, Manifest]:
    report = gate_bundle(folder, references, backends=[FakeBackend(references, wrong)])
    return report, read_manifest(folder)
