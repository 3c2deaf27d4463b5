"""Verdicts of a run, from the eager model to the manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.chains import make_chain
from tests.support.fake_backend import (
    PORTS,
    SCALE,
    TILE,
    FakeBackend,
    gated,
    make_bundle,
    off_by,
    right,
)
from tinysr.errors import BundleError, UnsupportedError
from tinysr.manifest import read_manifest
from tinysr.parity import Reference, gate_bundle, run_parity, with_verdicts
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.session import Array
from tinysr.stages import StageName


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
    stage: StageName, references: tuple[Reference, ...], tmp_path: Path
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

    def wrong(stage: StageName, outputs: Array) -> Array:
        if stage == "upscale" and np.array_equal(outputs[0], black.fields["upscaled"]):
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

    def note(_stage: StageName, outputs: Array) -> Array:
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
    one, chain = references[0], make_chain(TILE, unit=SCALE)
    restored = one.fields["restored"]
    assert np.array_equal(one.ends("encoder", chain)[1], one.fields["latents"] * np.float32(SCALE))
    assert np.array_equal(one.ends("decoder", chain)[0], restored * np.float32(SCALE))
    assert np.array_equal(one.ends("upscale", chain)[1], one.fields["upscaled"])


def test_eager_outputs_are_not_clamped(references: tuple[Reference, ...]) -> None:
    images = [reference.fields["upscaled"] for reference in references]
    assert any(image.min() < 0 or image.max() > 1 for image in images)


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
