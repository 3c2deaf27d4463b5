"""`tinysr compare`, and export in several precisions, as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from tests.support.tiny_models import TILE, tiny_model
from tinysr.benchmarks.versus.compare import Comparison, _quality, compare
from tinysr.benchmarks.versus.compare_report import (
    HEAD,
    caption,
    cells,
    draw_comparison,
    render_html,
)
from tinysr.errors import BundleError
from tinysr.export import ExportOptions, export_bundle
from tinysr.export.plans.quantization import QuantizationPlan
from tinysr.manifest import read_manifest
from tinysr.models import Loaded
from tinysr.models.families.tinysr import save_single_file
from tinysr.parity import compute_references
from tinysr.runtime.backends.onnxruntime import OnnxRuntimeBackend
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.session import Session
from tinysr.suite import suite

Run = Callable[..., tuple[int, str, str]]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = QuantizationPlan(model_sha256=loaded.source.sha256, tile=TILE, precision="w8")
    options = ExportOptions(tile=TILE, precision="w8", quantization=(plan,))
    place = tmp_path_factory.mktemp("compare") / "<tiny>"
    export_bundle(loaded, place, options)
    return place


@pytest.fixture(scope="module")
def found(loaded: Loaded, folder: Path) -> Comparison:
    images = suite(TILE)[:3]
    photo = images[0].pixels
    high = np.repeat(np.repeat(photo, 4, axis=1), 4, axis=2)
    references = compute_references(loaded.model, images)
    backend = OnnxRuntimeBackend()
    return compare(Bundle(folder), backend, references, [(photo, high)], repeats=3, warmup=1)


def test_every_precision_is_measured(found: Comparison, folder: Path) -> None:
    full, small = found.rows
    assert (full.precision, small.precision) == ("fp32", "w8")
    assert full.passed
    assert full.worst_db is not None
    assert small.worst_db is not None
    assert full.worst_db > 80 > small.worst_db > 30
    assert full.truth_db is not None
    assert small.truth_db is not None
    assert abs(full.truth_db - small.truth_db) < 1
    assert full.bytes > small.bytes > 0
    files = {f.path: f.size for a in read_manifest(folder).artifacts for f in (a.file, *a.data)}
    assert full.bytes + small.bytes == sum(files.values())
    assert min(row.milliseconds for row in found.rows) > 0


def test_the_page_is_escaped_and_whole(found: Comparison) -> None:
    plot = draw_comparison(found)
    assert plot.startswith(b"\x89PNG")
    page = render_html(found, plot)
    assert "<tiny>" not in page
    assert "&lt;tiny&gt;" in page
    assert all(cell.split(" (")[0] in page for row in found.rows for cell in cells(row))
    assert len(cells(found.rows[0])) == len(HEAD)
    assert "3 rounds after 1 of warm-up" in caption(found)


class Broken:
    """A session that gives infinity on one image, and what it was given, ×4, on all others."""

    def __init__(self, session: Session, broken: np.ndarray) -> None:
        self.artifact, self._broken = session.artifact, broken

    def run(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        ((_, image),) = feed.items()
        large = image.repeat(4, axis=2).repeat(4, axis=3)
        if np.array_equal(image[0], self._broken):
            large[0, 0, 0, 0] = np.inf
        return {self.artifact.outputs[0].name: large}


def test_infinity_is_in_no_mean(loaded: Loaded, folder: Path) -> None:
    """Clamped, it would be white; left out, the other images would make up for it."""
    references = compute_references(loaded.model, suite(TILE)[:2])
    low = references[0].image.pixels
    high = low.repeat(4, axis=1).repeat(4, axis=2) * np.float32(0.5)
    photos = [(low, high)]
    bundle, backend = Bundle(folder), OnnxRuntimeBackend()
    with backend.open(bundle, bundle.artifact("onnx", "upscale", "fp32")) as session:
        good = _quality(cast(Session, Broken(session, -low)), references, photos)
        bad = _quality(cast(Session, Broken(session, low)), references, photos)
    assert good["mean_db"] is not None
    assert good["truth_db"] is not None
    assert (bad["mean_db"], bad["truth_db"], bad["passed"]) == (None, None, False)


def test_a_bundle_without_the_whole_model_is_refused(loaded: Loaded, folder: Path) -> None:
    bundle = Bundle(folder)
    kept = tuple(a for a in bundle.manifest.artifacts if a.stage != "upscale")
    bundle.manifest = bundle.manifest.model_copy(update={"artifacts": kept})
    references = compute_references(loaded.model, suite(TILE)[:1])
    with pytest.raises(BundleError, match="expected upscale graphs for onnxruntime, found none"):
        compare(bundle, OnnxRuntimeBackend(), references, [])


def test_all_precisions_are_exported_and_compared_by_two_commands(run: Run) -> None:
    save_single_file(tiny_model(), Path("tiny.safetensors"))
    code, out, err = run(
        "export", "tiny.safetensors", "-o", "made", "--tile", TILE, "--precision", "all"
    )
    assert (code, err) == (0, "")
    manifest = read_manifest(Path("made"))
    assert [*dict.fromkeys(a.precision for a in manifest.artifacts)] == [
        "fp32", "fp16", "int8", "w8", "w4",
    ]  # fmt: skip
    assert {a.parity.result for a in manifest.artifacts} == {"pass"}
    for precision in ("int8", "w8", "w4"):
        assert f"{precision} by the plan made/calibration/{precision}.toml" in out
    words = ("compare", "made", "--model", "tiny.safetensors", "--repeats", 2)
    code, out, err = run(*words, "--output", "told", "--json")
    assert (code, err) == (0, "")
    assert len(json.loads(out)["rows"]) == 5
    assert {p.name for p in Path("told").iterdir()} == {
        "compare.json", "compare.png", "compare.html",
    }  # fmt: skip
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert "vs truth" in out


def test_quantization_that_can_not_be_is_refused_in_one_line(run: Run) -> None:
    save_single_file(tiny_model(), Path("tiny.safetensors"))
    words = ("export", "tiny.safetensors", "--tile", TILE, "--precision")
    code, _, err = run(*words, "int4")
    assert code == 2
    assert "unknown precision 'int4': expected one of all, fp16, fp32, int8, w4, w6, w8" in err
    Path("plan.toml").write_text(f'model_sha256 = "{"0" * 64}"\ntile = {TILE}\nprecision = "w4"\n')
    code, _, err = run(*words, "w4", "--plan", "plan.toml")
    assert code == 2
    assert "the w4 plan is of another model" in err
    code, _, err = run(*words, "w8", "--plan", "plan.toml")
    assert code == 2
    assert "expected the precision w4, found w8" in err
    Path("taken").write_text("")
    code, _, err = run("compare", "made", "--output", "taken")
    assert code == 2
    assert "taken is not a folder" in err
