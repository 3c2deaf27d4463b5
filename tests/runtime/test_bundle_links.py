"""Bundles reached through links: those of people's own tools are run, by every backend."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from typer.testing import CliRunner

from tests.support.bundles import edit_manifest, entry, make_bundle
from tests.support.linked import LAYOUTS
from tests.support.tiny_models import TILE, tiny_loaded
from tinysr.cli.inspect import inspect
from tinysr.errors import BundleError
from tinysr.export import ExportOptions, export_bundle
from tinysr.export.apple.coreml.options import CoreMLOptions
from tinysr.export.extend import Extension, extend_bundle
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.hashing import file_sha256
from tinysr.parity.probe import graph_values, run_probed
from tinysr.runtime import Bundle, Upscaler

pytestmark = pytest.mark.usefixtures("one_thread")

SIDES = {"coreml": (64, 64)}
"""Height and width of the photo, where a graph takes no smaller one."""

FEW = ("dvc",)
"""Layout that the slow interpreters run: what they read are plain paths."""

RUNS = [
    pytest.param(
        backend,
        layout,
        id=f"{backend}-{name}",
        marks=[pytest.mark.slow] if backend in ("coreml", "coreai") else [],
    )
    for backend in ("onnxruntime", "openvino", "coreml", "coreai")
    for name, layout in LAYOUTS.items()
    if backend in ("onnxruntime", "openvino") or name in FEW
]

layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)

Layout = Callable[[Path, Path], Path]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes a bundle for one backend."""
    made: dict[str, Path] = {}

    def bundle(backend: str) -> Path:
        if backend not in made:
            place = tmp_path_factory.mktemp(backend) / "tiny"
            made[backend] = _twin(place) if backend == "onnxruntime" else _exported(place, backend)
        return made[backend]

    return bundle


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with a graph of every stage."""
    place = tmp_path_factory.mktemp("exported") / "tiny"
    export_bundle(tiny_loaded(), place, ExportOptions(targets=("onnx",), tile=TILE))
    return place


def _twin(place: Path) -> Path:
    return make_bundle(place)


def _exported(place: Path, backend: str) -> Path:
    loaded = tiny_loaded()
    half = backend != "openvino"
    plan = PrecisionPlan(model_sha256=loaded.source.sha256, tile=TILE) if half else None
    settings = {"coreml": CoreMLOptions(deployment_target="iOS18")} if backend == "coreml" else {}
    options = ExportOptions(
        targets=(backend,),
        precision="fp16" if half else "fp32",
        plan=plan,
        tile=TILE,
        settings=settings,
    )
    export_bundle(loaded, place, options)
    return place


def upscaled(folder: Path, backend: str) -> np.ndarray:
    sides = SIDES.get(backend, (18, 22))
    photo = np.random.default_rng(3).integers(0, 256, (*sides, 3), np.uint8)
    with Upscaler(folder, backend=backend) as upscaler:
        return upscaler.upscale(photo)


@pytest.mark.parametrize(("backend", "layout"), RUNS)
def test_every_backend_runs_it_to_the_same_pixels(
    backend: str, layout: Layout, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    plain = tiny(backend)
    np.testing.assert_array_equal(
        upscaled(layout(plain, tmp_path), backend), upscaled(plain, backend)
    )


@layouts
def test_it_is_shown_as_intact(layout: Layout, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(inspect)
    folder = layout(make_bundle(tmp_path / "twin"), tmp_path)
    result = CliRunner().invoke(app, [str(folder), "--json"])
    assert result.exit_code == 0
    checks = {f["check"] for a in json.loads(result.stdout)["artifacts"] for f in [a["file"]]}
    assert checks == {"ok"}


@layouts
def test_it_is_bisected(layout: Layout, tmp_path: Path) -> None:
    folder = layout(make_bundle(tmp_path / "twin"), tmp_path)
    graph = folder / "onnx" / "encoder.onnx"
    names, output = graph_values(graph)
    inputs = np.zeros((3, 8, 8), np.float32)
    assert run_probed(graph, sorted(names), inputs)[output].shape == (1, 16, 4, 4)


@layouts
def test_formats_are_added_to_it_and_the_store_is_left_alone(
    layout: Layout, exported: Path, tmp_path: Path
) -> None:
    plain = Path(shutil.copytree(exported, tmp_path / "twin"))
    folder = layout(plain, tmp_path)
    store = {path: path.stat().st_nlink for path in tmp_path.rglob("*") if path.is_file()}
    adding = Extension(targets=("openvino",), precision="fp32", settings={})
    extend_bundle(Bundle(folder), tmp_path / "more", adding)
    for path in sorted(path for path in (tmp_path / "more").rglob("*")):
        assert not path.is_symlink()
    assert file_sha256(tmp_path / "more/onnx/weights.bin") == file_sha256(
        plain / "onnx/weights.bin"
    )
    if layout is not LAYOUTS["linked_itself"]:  # whose files are its own
        linked = {path: path.stat().st_nlink for path in store if "linked" not in path.parts}
        assert linked == {path: store[path] for path in linked}


NOT_TEXT = os.fsdecode(b"latin-\xe9")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, names of files are text")
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_folder_whose_name_is_no_text_is_run(
    backend: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    plain = tiny(backend)
    copy = Path(shutil.copytree(plain, tmp_path / NOT_TEXT))
    np.testing.assert_array_equal(upscaled(copy, backend), upscaled(plain, backend))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, names of files are text")
def test_such_a_folder_is_refused_where_the_library_would_end_the_process(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(tiny("coreai"), tmp_path / NOT_TEXT))
    with pytest.raises(BundleError, match="expected a path in UTF-8"):
        upscaled(copy, "coreai")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, names of files are text")
def test_such_a_folder_is_exported_and_read(tmp_path: Path) -> None:
    export_bundle(tiny_loaded(), tmp_path / NOT_TEXT, ExportOptions(tile=TILE))
    assert Bundle(tmp_path / NOT_TEXT).manifest.name == "latin-\N{REPLACEMENT CHARACTER}"


def refused(folder: Path, words: str) -> str:
    with pytest.raises(BundleError, match=words) as caught:
        Upscaler(folder, backend="onnxruntime")
    assert "\n" not in str(caught.value)
    return str(caught.value)


SECRET = b"the root of all passwords"


@pytest.mark.parametrize("described", ["as it was", "with the secret's size"])
def test_a_link_to_a_secret_is_refused_and_nothing_of_it_is_told(
    described: str, tmp_path: Path
) -> None:
    folder = make_bundle(tmp_path / "twin")
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    path = folder / "onnx" / "weights.bin"
    path.unlink()
    path.symlink_to(secret)
    if described == "with the secret's size":
        edit_manifest(
            folder,
            lambda data: [a["data"][0].update(size=len(SECRET)) for a in data["artifacts"]],
        )
    said = refused(folder, "is a link to .*secret, which is not the file that the manifest")
    words = said.replace(str(tmp_path), "")  # numbers of temporary folders may be any
    assert file_sha256(secret)[:8] not in words
    assert str(len(SECRET)) not in words


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("name", ["onnx/weights.bin", "manifest.json"])
def test_what_is_no_file_is_neither_waited_for_nor_read_without_end(
    name: str, kind: str, tmp_path: Path
) -> None:
    folder = make_bundle(tmp_path / "twin")
    path = folder / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    if name != "manifest.json":
        edit_manifest(folder, lambda data: [a["data"][0].update(size=0) for a in data["artifacts"]])
    refused(folder, "expected a regular file")


def test_a_link_that_leads_in_a_circle_is_named(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "twin")
    (folder / "onnx/weights.bin").unlink()
    (folder / "onnx/weights.bin").symlink_to("weights.bin")
    refused(folder, r"weights\.bin: Too many levels")


@pytest.mark.parametrize("linked", [False, True], ids=["plain", "linked"])
@pytest.mark.parametrize("location", ["../secret.bin", "../../secret.bin", "ABSOLUTE"])
def test_a_graph_reads_no_weights_outside_whatever_links_there_are(
    location: str, linked: bool, tmp_path: Path
) -> None:
    _refuses_weights(tmp_path, location, linked=linked)


@pytest.mark.parametrize("location", ["secret.bin", "linked.bin"])
def test_a_linked_graph_reads_only_the_files_that_the_manifest_lists(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime looks for the data of a graph in memory
    _refuses_weights(tmp_path, location, linked=True)


def test_a_plain_graph_reads_nothing_through_a_link_that_is_not_listed(tmp_path: Path) -> None:
    _refuses_weights(tmp_path, "linked.bin", linked=False)


def _refuses_weights(tmp_path: Path, location: str, *, linked: bool) -> None:
    """Make a graph ask for other weights than those that its manifest lists."""
    folder = make_bundle(tmp_path / "twin")
    weights = (folder / "onnx/weights.bin").read_bytes()
    for place in (tmp_path, folder, folder / "onnx"):
        (place / "secret.bin").write_bytes(weights)
    (folder / "onnx/linked.bin").symlink_to(tmp_path / "secret.bin")
    graph = folder / "onnx/transformer.onnx"
    model = onnx.load(graph, load_external_data=False)
    for field in model.graph.initializer[0].external_data:
        if field.key == "location":
            field.value = str(tmp_path / "secret.bin") if location == "ABSOLUTE" else location
    graph.write_bytes(model.SerializeToString())
    if linked:
        (tmp_path / "store").mkdir()
        graph.rename(tmp_path / "store" / "graph")
        graph.symlink_to(tmp_path / "store" / "graph")
    described = entry(folder, "onnx/transformer.onnx").model_dump()
    edit_manifest(folder, lambda data: data["artifacts"][1].update(file=described))
    refused(folder, "onnx/transformer fp32: .* can't open it")
