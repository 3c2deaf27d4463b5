"""From an exported bundle to its verdicts, and from a broken weight to its module's name."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from typer.testing import CliRunner, Result

from tests.support.tiny_models import TILE, tiny_model
from tinysr.cli.parity import parity
from tinysr.errors import BundleError, CheckpointError, TinySRError
from tinysr.export import ExportOptions, bake, export_bundle
from tinysr.manifest import FileEntry, read_manifest, to_json
from tinysr.models import Loaded, load_checkpoint
from tinysr.models.families.tinysr import save_single_file
from tinysr.parity import ParityReport, Reference, compute_references, gate_bundle
from tinysr.runtime.backends.onnxruntime import OnnxRuntimeBackend
from tinysr.runtime.session import RunOptions
from tinysr.stages import StageName
from tinysr.suite import suite

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_single_file(tiny_model(), path)
    return path


@pytest.fixture(scope="module")
def loaded(checkpoint: Path) -> Loaded:
    return load_checkpoint(checkpoint)


@pytest.fixture(scope="module")
def references(loaded: Loaded) -> tuple[Reference, ...]:
    return compute_references(loaded.model, suite(TILE))


@pytest.fixture(scope="module")
def exported(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    export_bundle(loaded, folder, ExportOptions(tile=TILE))
    return folder


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "tiny"))


@pytest.fixture
def gated(loaded: Loaded, references: tuple[Reference, ...]) -> Callable[[Path], ParityReport]:
    def gate(folder: Path) -> ParityReport:
        return gate_bundle(
            folder,
            references,
            backends=[OnnxRuntimeBackend(RunOptions(threads=1))],
            baked=lambda: bake(loaded.model, TILE),
        )

    return gate


def test_an_exported_bundle_passes(bundle: Path, gated: Callable[[Path], ParityReport]) -> None:
    report = gated(bundle)
    assert report.passed
    assert {artifact.parity.result for artifact in read_manifest(bundle).artifacts} == {"pass"}
    assert all(result.bisect is None for result in report.results)


def weight_of(model: nn.Module, path: str) -> NDArray[np.float32]:
    weight: NDArray[np.float32] = model.get_submodule(path).weight.detach().numpy()  # type: ignore[operator]
    return weight


def break_weight(folder: Path, weight: NDArray[np.float32]) -> None:
    """Change one number of a tensor in the bundle's weights, and let the hashes agree."""
    data = next(iter({e.path for a in read_manifest(folder).artifacts for e in a.data}))
    path = folder / data
    stored = bytearray(path.read_bytes())
    start = stored.find(np.ascontiguousarray(weight).tobytes())
    assert start >= 0, "the module's weight is not in the bundle as it is in the baked model"
    middle = start + weight.size // 2 * 4
    value = np.frombuffer(stored[middle : middle + 4], np.float32)
    stored[middle : middle + 4] = (value + np.float32(3)).tobytes()
    path.write_bytes(stored)
    rehash(folder)


def rehash(folder: Path) -> None:
    def again(entry: FileEntry) -> FileEntry:
        content = (folder / entry.path).read_bytes()
        return FileEntry(
            path=entry.path, sha256=hashlib.sha256(content).hexdigest(), size=len(content)
        )

    manifest = read_manifest(folder)
    artifacts = tuple(
        a.model_copy(update={"file": again(a.file), "data": tuple(map(again, a.data))})
        for a in manifest.artifacts
    )
    (folder / "manifest.json").write_text(
        to_json(manifest.model_copy(update={"artifacts": artifacts}))
    )


@pytest.mark.parametrize(
    ("stage", "module"),
    [
        ("encoder", "encoder.layers.3.conv.2.pointwise"),
        ("transformer", "transformer.transformer_blocks.1.attn.to_qkv"),
        ("transformer", "transformer.transformer_blocks.0.ff.proj_out"),
        ("decoder", "decoder.layers.5.conv.4"),
    ],
)
def test_one_broken_weight_is_traced_to_its_module(
    stage: StageName,
    module: str,
    bundle: Path,
    loaded: Loaded,
    gated: Callable[[Path], ParityReport],
) -> None:
    break_weight(bundle, weight_of(bake(loaded.model, TILE), module))
    report = gated(bundle)
    failed = {r.stage: r.bisect for r in report.results if not r.passed}
    assert set(failed) == {stage, "upscale"}
    for found in failed.values():
        assert found is not None
        assert found.module == module
    noted = {a.stage: a.parity.note for a in read_manifest(bundle).artifacts}
    assert noted[stage] == f"'{module}' departs first"
    assert module in (bundle / "reports" / "parity.html").read_text()


def run(*args: object) -> Result:
    app = typer.Typer()
    app.command()(parity)
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_the_command_records_verdicts_and_copies_of_the_reports(
    bundle: Path, checkpoint: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (50, 20), "green").save(photos / "my <b>photo.png")
    copies = tmp_path / "new" / "p.json", tmp_path / "p.html"
    options = ["--images", photos, "--json", copies[0], "--html", copies[1]]
    result = run(bundle, "--model", checkpoint, "-b", "onnxruntime", *options)
    assert result.exit_code == 0, result.output
    assert "onnx/upscale fp32" in result.output
    report = json.loads(copies[0].read_text())
    assert report["images"][-1] == "my <b>photo.png"
    assert "my &lt;b&gt;photo.png" in copies[1].read_text()
    assert all(artifact.parity.images == 15 for artifact in read_manifest(bundle).artifacts)


def test_the_command_exits_1_and_names_the_module(
    bundle: Path, checkpoint: Path, loaded: Loaded
) -> None:
    break_weight(bundle, weight_of(bake(loaded.model, TILE), "decoder.layers.0"))
    result = run(bundle, "--model", checkpoint)
    assert result.exit_code == 1
    assert "'decoder.layers.0' is the first module that departs" in " ".join(result.output.split())


def test_the_command_refuses_another_model_and_shows_both_hashes(
    bundle: Path, loaded: Loaded, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    save_single_file(tiny_model(seed=81), other)
    before = (bundle / "manifest.json").read_bytes()
    error = run(bundle, "--model", other).exception
    assert isinstance(error, CheckpointError)
    assert loaded.source.sha256 in str(error)
    assert load_checkpoint(other).source.sha256 in str(error)
    assert (bundle / "manifest.json").read_bytes() == before
    assert not (bundle / "reports").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give its path with --model"),
        (["-b", "abacus"], "unknown backend 'abacus'"),
        (["-b", "eager"], "is the reference"),
        (["--images", "nowhere"], "nowhere: expected a folder of images"),
        (["--json", "."], "expected a file to write, found a folder"),
    ],
)
def test_the_command_refuses_what_it_can_not_do(
    options: list[str], words: str, bundle: Path
) -> None:
    error = run(bundle, *options).exception
    assert isinstance(error, TinySRError)
    assert error.exit_code == 2
    assert words in str(error)


def test_a_flipped_byte_is_refused_before_anything_is_run(bundle: Path, checkpoint: Path) -> None:
    path = bundle / "onnx" / "encoder.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    error = run(bundle, "--model", checkpoint).exception
    assert isinstance(error, BundleError)
    assert "encoder.onnx" in str(error)
    assert not (bundle / "reports").exists()
