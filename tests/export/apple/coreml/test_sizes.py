"""One package, tiles of several sizes: each is computed, gated, and listed for apps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tiny_models import as_loaded, difference, noise, tiny_model
from tinysr.errors import UnsupportedError
from tinysr.export import Baked, ExportOptions, bake, export_bundle
from tinysr.export.apple.coreml.ane import lay_out_for_ane
from tinysr.export.apple.coreml.options import CoreMLOptions
from tinysr.export.apple.coreml.prepare import prepare
from tinysr.export.apple.coreml.sizes import allow_any_size
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.manifest import read_manifest
from tinysr.models import Loaded
from tinysr.parity import compute_further_references, compute_references, gate_bundle
from tinysr.runtime import Bundle, create
from tinysr.runtime.mil import load_program
from tinysr.suite import SuiteImage, suite

pytestmark = pytest.mark.usefixtures("one_thread")

TILE, FURTHER = 32, (16, 20)

Run = Callable[..., tuple[int, str, str]]


def images(side: int) -> list[SuiteImage]:
    return [image for image in suite(side) if image.name in ("black", "noise", "astronaut")]


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return as_loaded(tiny_model())


@pytest.fixture(scope="module")
def bundle(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sizes") / "tiny"
    options = ExportOptions(
        targets=("coreml",),
        precision="fp16",
        plan=PrecisionPlan(model_sha256=loaded.source.sha256, tile=TILE),
        tile=TILE,
        settings={"coreml": CoreMLOptions(tiles=FURTHER)},
    )
    export_bundle(loaded, folder, options)
    return folder


@pytest.mark.parametrize("layout", [lambda model: model, lay_out_for_ane], ids=["standard", "ane"])
@pytest.mark.parametrize("side", [*FURTHER, TILE])
def test_a_smaller_tile_gets_what_a_model_baked_for_it_gives(
    layout: Callable[[Baked], Baked], side: int, loaded: Loaded
) -> None:
    model = allow_any_size(layout(prepare(bake(loaded.model, TILE))))
    image = noise(1, 3, side, side)
    assert difference(model(image), bake(loaded.model, side)(image)) < 1e-5


def test_every_size_passes_its_gate_and_the_verdict_is_the_worst(
    bundle: Path, loaded: Loaded
) -> None:
    manifest = read_manifest(bundle)
    report = gate_bundle(
        bundle,
        compute_references(loaded.model, images(TILE)),
        backends=[create("coreml")],
        further=compute_further_references(loaded.model, manifest, images),
    )
    assert report.passed, report.failure
    assert [result.side for result in report.results] == [None, *FURTHER]
    (artifact,) = read_manifest(bundle).artifacts
    worst = min(r.worst.metrics.psnr_db or 0 for r in report.results)
    assert artifact.parity.worst_db == worst
    assert "at 16 pixels" in (bundle / "reports/parity.html").read_text(encoding="utf-8")


def test_a_size_that_is_not_measured_is_no_pass(bundle: Path, loaded: Loaded) -> None:
    references = compute_references(loaded.model, images(TILE)[:1])
    with pytest.raises(UnsupportedError, match="takes tiles of 16 too: expected references"):
        gate_bundle(bundle, references, backends=[create("coreml")])


def test_apps_see_the_sizes_of_both_images(bundle: Path) -> None:
    program = load_program(bundle / "coreml/TinySR.mlpackage")
    given, made = program.functions["main"].features
    assert [shape[2:] for shape in given.shapes] == [(32, 32), (16, 16), (20, 20)]
    assert [shape[2:] for shape in made.shapes] == [(128, 128), (64, 64), (80, 80)]
    assert (given.shape[2:], made.shape[2:]) == ((32, 32), (128, 128))
    assert program.metadata["tiles"] == "32 16 20"


def test_another_size_is_refused(bundle: Path) -> None:
    opened = Bundle(bundle)
    artifact = opened.artifact("coreml", "upscale", "fp16")
    with (
        create("coreml").open(opened, artifact) as session,
        pytest.raises(UnsupportedError, match=r"one of .* found \[1, 3, 24, 24\]"),
    ):
        session.run({"image": noise(1, 3, 24, 24).numpy()})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["-t", "coreml", "--coreml-tile", "18"],
            "expected a multiple of 4 of at least 16, found 18",
        ),
        (
            ["-t", "coreml", "--coreml-tile", "8"],
            "expected a multiple of 4 of at least 16, found 8",
        ),
        (
            ["--coreml-tile", "64"],
            "without packages of CoreML: add -t coreml",
        ),
        (["-t", "coreml", "--coreml-tile", "192"], "below the bundle's of 128, found 192"),
    ],
)
def test_sizes_that_no_package_takes_are_refused(words: list[str], said: str, run: Run) -> None:
    code, _, err = run("export", *words)
    assert code == 2
    assert said in err
