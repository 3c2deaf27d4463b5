"""One call exports a checkpoint, gates it, and says what it made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tiny_models import TILE, tiny_model
from tinysr.errors import BundleError, GateError, UnsupportedError
from tinysr.export import ExportOptions, Extension
from tinysr.models.families.tinysr import save_single_file
from tinysr.parity import ParityReport, gates
from tinysr.runtime.bundle import Bundle
from tinysr.workflows.backends import choose_backends
from tinysr.workflows.export import Exported, export_gated
from tinysr.workflows.extend import extend_gated
from tinysr.workflows.parity import check_parity

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = ExportOptions(tile=TILE)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_single_file(tiny_model(), path)
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_gated(str(checkpoint), tmp_path_factory.mktemp("made") / "bundle", OPTIONS)


def test_a_bundle_has_its_verdicts(exported: Exported) -> None:
    assert exported.report is not None
    assert exported.report.passed
    assert exported.gate_seconds > 0
    assert exported.origins == {}
    artifacts = Bundle(exported.folder).manifest.artifacts
    assert {artifact.parity.result for artifact in artifacts} == {"pass"}


def test_a_bundle_without_a_gate_has_none(checkpoint: Path, tmp_path: Path) -> None:
    made = export_gated(str(checkpoint), tmp_path / "bundle", OPTIONS, gate=False)
    assert made.report is None
    assert {a.parity.result for a in Bundle(made.folder).manifest.artifacts} == {"not run"}


def test_a_bundle_that_fails_does_not_get_its_name(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gates.GATES_DB, "fp32", 400.0)
    told: list[ParityReport] = []
    with pytest.raises(GateError):
        export_gated(str(checkpoint), tmp_path / "bundle", OPTIONS, told=told.append)
    assert [report.passed for report in told] == [False]
    assert not (tmp_path / "bundle").exists()
    assert (tmp_path / "bundle.rejected").is_dir()


def test_a_bundle_that_is_there_is_refused_before_the_model_is_read(
    exported: Exported,
) -> None:
    with pytest.raises(BundleError, match="a bundle is here already"):
        export_gated("no such model", exported.folder, OPTIONS)


def test_parity_is_checked_again_with_the_checkpoint(exported: Exported, checkpoint: Path) -> None:
    bundle = Bundle(exported.folder)
    assert check_parity(bundle, model=checkpoint).passed


def test_the_gate_of_an_extension_needs_the_checkpoint(exported: Exported, tmp_path: Path) -> None:
    more = Extension(targets=("openvino",), precision="fp32", settings={})
    with pytest.raises(UnsupportedError, match="the gate needs the checkpoint"):
        extend_gated(exported.folder, tmp_path / "more", more)
    made = extend_gated(exported.folder, tmp_path / "more", more, gate=False)
    assert {artifact.target for artifact in made.artifacts} == {"onnx", "openvino"}


def test_the_reference_is_not_compared_with_itself(exported: Exported) -> None:
    with pytest.raises(UnsupportedError, match="is the reference"):
        choose_backends(Bundle(exported.folder), ["eager"])
