"""A run from the eager model to verdicts and reports, on a backend that is wrong on demand."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from tinysr.errors import BundleError, UnsupportedError
from tinysr.manifest import (
    Artifact,
    BakeProof,
    FileEntry,
    Halo,
    Host,
    Manifest,
    Port,
    Source,
    Stage,
    read_manifest,
    to_json,
)
from tinysr.models import ModelConfig, TransformerConfig, VaeConfig
from tinysr.models.seeded import seeded
from tinysr.parity import (
    ParityReport,
    Reference,
    eager_reference,
    gate_bundle,
    html_text,
    run_parity,
    with_verdicts,
)
from tinysr.parity.pictures import Picture, amplification
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.session import Array, Availability, Backend, Session
from tinysr.suite import SuiteImage, suite

TILE, SCALE = 16, 0.25
CONFIG = ModelConfig(
    vae=VaeConfig(width=4, encoder_blocks=(1, 1, 1, 1), decoder_blocks=(1, 1, 1, 1)),
    transformer=TransformerConfig(depth=1, heads=1, pooled_size=8, position_grid=8),
)
PORTS: dict[Stage, tuple[str, str]] = {
    "encoder": ("image", "latents"),
    "transformer": ("latents", "velocity"),
    "decoder": ("latents", "upscaled"),
    "upscale": ("image", "upscaled"),
}

Wrong = Callable[[Stage, Array], Array]


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
        ends = [r.ends(artifact.stage, bundle.manifest.latent_scale) for r in self._references]
        return LookUp(artifact, ends, self._wrong)


def right(_stage: Stage, outputs: Array) -> Array:
    return outputs


def off_by(amount: float, where: Stage) -> Wrong:
    def wrong(stage: Stage, outputs: Array) -> Array:
        return outputs + np.float32(amount) if stage == where else outputs

    return wrong


@pytest.fixture(scope="module")
def references() -> tuple[Reference, ...]:
    return eager_reference(seeded(CONFIG), suite(TILE))


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
        tile=TILE,
        overlap=8,
        halo=Halo(encoder=8, decoder=8),
        feature_bytes=32768,
        latent_scale=SCALE,
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


def test_an_equal_backend_passes_and_every_artifact_says_so(
    references: tuple[Reference, ...], tmp_path: Path
) -> None:
    report, manifest = gated(make_bundle(tmp_path / "b"), references)
    assert report.passed
    assert report.failure == ""
    for artifact in manifest.artifacts:
        assert artifact.parity.result == "pass"
        assert artifact.parity.backend == "fake"
        assert artifact.parity.images == len(references)
        assert artifact.parity.worst_db is None


@pytest.mark.parametrize("stage", list(PORTS))
def test_only_the_stage_that_is_wrong_fails(
    stage: Stage, references: tuple[Reference, ...], tmp_path: Path
) -> None:
    report, manifest = gated(make_bundle(tmp_path / "b"), references, off_by(0.1, stage))
    verdicts = {artifact.stage: artifact.parity for artifact in manifest.artifacts}
    assert [s for s, verdict in verdicts.items() if verdict.result == "fail"] == [stage]
    assert verdicts[stage].gate_db == 80
    assert (verdicts[stage].worst_db or 0) < 80
    assert report.failure.startswith(f"1 of 4 artifacts fail: table/{stage} fp32 on fake: ")


def test_the_same_error_passes_where_the_precision_allows_it(
    references: tuple[Reference, ...], tmp_path: Path
) -> None:
    wrong = off_by(1e-3, "upscale")  # 60 dB
    assert not gated(make_bundle(tmp_path / "a", precision="fp32"), references, wrong)[0].passed
    assert gated(make_bundle(tmp_path / "b", precision="fp16"), references, wrong)[0].passed


def test_one_nan_on_one_smooth_tile_fails_the_artifact(
    references: tuple[Reference, ...], tmp_path: Path
) -> None:
    black = next(r for r in references if r.image.name == "black")

    def wrong(stage: Stage, outputs: Array) -> Array:
        if stage == "upscale" and np.array_equal(outputs[0], black.upscaled):
            outputs[0, 0, 0, 0] = np.nan
        return outputs

    folder = make_bundle(tmp_path / "b")
    report, manifest = gated(folder, references, wrong)
    assert not report.passed
    (upscale,) = (a for a in manifest.artifacts if a.stage == "upscale")
    assert upscale.parity.worst_image == "black"
    assert "NaN" in upscale.parity.note
    assert "NaN" not in (folder / "manifest.json").read_text().replace("NaN or", "")


@pytest.mark.parametrize("batch", [1, 3, 14, 20, "N"])
def test_every_batch_size_sees_every_image_once(
    batch: int | str, references: tuple[Reference, ...], tmp_path: Path
) -> None:
    sizes: list[int] = []

    def note(_stage: Stage, outputs: Array) -> Array:
        sizes.append(len(outputs))
        return outputs

    report, _ = gated(make_bundle(tmp_path / "b", batch), references, note)
    for result in report.results:
        assert [image.image for image in result.images] == list(report.images)
    assert set(sizes) == ({1, 2} if batch == "N" else {batch})


def test_lanes_of_a_batch_that_are_swapped_fail(
    references: tuple[Reference, ...], tmp_path: Path
) -> None:
    report, _ = gated(make_bundle(tmp_path / "b", 2), references, lambda _, out: out[::-1])
    assert not any(result.passed for result in report.results)


def test_latents_are_given_and_expected_in_the_graphs_units(
    references: tuple[Reference, ...],
) -> None:
    one = references[0]
    assert np.array_equal(one.ends("encoder", SCALE)[1], one.z * np.float32(SCALE))
    assert np.array_equal(one.ends("decoder", SCALE)[0], (one.z - one.v) * np.float32(SCALE))
    assert np.array_equal(one.ends("upscale", SCALE)[1], one.upscaled)


def test_eager_outputs_are_not_clamped(references: tuple[Reference, ...]) -> None:
    assert any(r.upscaled.min() < 0 or r.upscaled.max() > 1 for r in references)


def test_the_report_is_the_same_file_every_time_and_reads_back(
    references: tuple[Reference, ...], tmp_path: Path
) -> None:
    texts = []
    for place in ("a", "b"):
        folder = make_bundle(tmp_path / place)
        report, _ = gated(folder, references, off_by(0.1, "decoder"))
        text = (folder / "reports" / "parity.json").read_text()
        assert ParityReport.model_validate_json(text) == report
        json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        page = (folder / "reports" / "parity.html").read_text()
        texts.append((text, page, (folder / "manifest.json").read_text()))
    assert texts[0] == texts[1]


def test_only_the_manifest_and_the_reports_are_written(
    references: tuple[Reference, ...], tmp_path: Path
) -> None:
    folder = make_bundle(tmp_path / "b")
    (folder / "mine.txt").write_text("mine")
    gated(folder, references)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "graph",
        "manifest.json",
        "mine.txt",
        "reports/parity.html",
        "reports/parity.json",
    }


def test_the_page_escapes_names_and_loads_nothing(
    references: tuple[Reference, ...], tmp_path: Path
) -> None:
    hostile = '<script>alert("1")</script>'
    image = SuiteImage(name=f"{hostile}.png", kind="user", pixels=references[0].image.pixels)
    one = references[0]
    shown = (
        Reference(image=image, z=one.z, v=one.v, restored=one.restored, upscaled=one.upscaled),
    )
    folder = make_bundle(tmp_path / "b", name=hostile)
    run = run_parity(Bundle(folder), [FakeBackend(shown, off_by(0.1, "upscale"))], shown)
    page = html_text(run)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"""(src|href)=["'](?!data:image/png;base64,)""", page)
    assert page.count("<img") == 4


def test_an_artifact_that_was_not_run_keeps_its_verdict(
    references: tuple[Reference, ...], tmp_path: Path
) -> None:
    folder = make_bundle(tmp_path / "b")
    report, manifest = gated(folder, references)
    unrun = read_manifest(folder)
    assert with_verdicts(unrun, report.results[:1]) == manifest
    assert with_verdicts(unrun, ()) == unrun


def test_the_worst_backend_decides_an_artifacts_verdict(
    references: tuple[Reference, ...], tmp_path: Path
) -> None:
    folder = make_bundle(tmp_path / "b")
    good, bad = FakeBackend(references, right), FakeBackend(references, off_by(0.1, "encoder"))
    gate_bundle(folder, references, backends=[good, bad, good])
    assert read_manifest(folder).artifacts[0].parity.result == "fail"


def test_what_does_not_fit_is_refused(references: tuple[Reference, ...], tmp_path: Path) -> None:
    bundle = Bundle(make_bundle(tmp_path / "b"))
    backend = FakeBackend(references, right)
    with pytest.raises(UnsupportedError, match="at least one image"):
        run_parity(bundle, [backend], ())
    other = Bundle(make_bundle(tmp_path / "c", precision="fp7"))
    with pytest.raises(UnsupportedError, match="unknown precision 'fp7'"):
        run_parity(other, [backend], references)
    backend.target = "none"  # type: ignore[misc]
    with pytest.raises(BundleError, match="no none artifacts for fake"):
        run_parity(bundle, [backend], references)


def test_differences_are_amplified_until_they_can_be_seen() -> None:
    flat = np.zeros((8, 8, 3), np.float32)

    def shown(difference: float) -> float:
        one = Picture(image="", source=flat, eager=flat, backend=flat, difference=flat + difference)
        return amplification((one,))

    assert shown(0) == 1
    assert shown(0.9) == 1
    assert shown(2e-6) == 1e6
    assert shown(np.nan) == 1
    assert shown(1e-12) == 1e7
