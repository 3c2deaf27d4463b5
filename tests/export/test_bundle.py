"""A bundle is put in place whole, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.folders import beside, old_bundle, tree
from tests.support.tiny_models import TILE
from tinysr.errors import BundleError, TinySRError, UnsupportedError
from tinysr.export import ExportOptions, check_target, export_bundle, targets
from tinysr.export.target import Target
from tinysr.manifest import Manifest, Verdict, read_manifest
from tinysr.models import Loaded, ModelConfig
from tinysr.parity.record import save_manifest
from tinysr.stages import Tiles, Windows

pytestmark = pytest.mark.usefixtures("quick_target")

OPTIONS = ExportOptions(tile=TILE)


def test_a_bundle_is_put_in_place_whole(loaded: Loaded, place: Path) -> None:
    seen: list[tuple[Path, list[str]]] = []
    steps: list[str] = []

    def gate(folder: Path) -> None:
        seen.append((folder, sorted(tree(folder))))
        assert not place.exists()
        verdict = {"parity": Verdict(result="pass")}
        manifest = read_manifest(folder)
        artifacts = tuple(a.model_copy(update=verdict) for a in manifest.artifacts)
        save_manifest(folder, manifest.model_copy(update={"artifacts": artifacts}))

    manifest = export_bundle(loaded, place, OPTIONS, gate=gate, progress=steps.append)
    assert seen[0][1] == sorted(tree(place)) == ["manifest.json", "onnx/encoder.onnx"]
    assert seen[0][0].parent == place.parent
    assert read_manifest(place) == manifest
    assert [artifact.parity.result for artifact in manifest.artifacts] == ["pass"]
    assert beside(place) == ["tiny"]
    assert place.stat().st_mode & 0o777 == 0o755
    assert steps[0] == "computing an image with the eager model"


def test_the_manifest_says_what_was_made_from_what(loaded: Loaded, place: Path) -> None:
    manifest: Manifest = export_bundle(loaded, place, OPTIONS)
    assert manifest.name == "tiny"
    assert manifest.tile == TILE
    assert manifest.source == loaded.source
    assert ModelConfig.from_dict(manifest.config) == loaded.model.config
    assert 0 < manifest.bake.difference <= manifest.bake.tolerance == 1e-4
    assert manifest.bake.passes[0] == "freeze_conditioning"
    encoder, transformer, decoder = (stage.division for stage in manifest.chain.stages)
    assert isinstance(encoder, Windows)
    assert isinstance(decoder, Windows)
    assert encoder.halo > 0 < decoder.halo
    assert transformer == Tiles(side=TILE // 2, overlap=2)
    assert manifest.chain.field("latents").unit == pytest.approx(1 / (3 * 0.7))
    assert {"torch", "onnx", "onnxsim", "onnxruntime"} <= manifest.tools.keys()


def test_an_older_bundle_is_kept_unless_it_may_be_replaced(loaded: Loaded, place: Path) -> None:
    old = old_bundle(place)
    with pytest.raises(BundleError, match=r"a bundle is here already; --overwrite replaces it"):
        export_bundle(loaded, place, OPTIONS)
    assert tree(place) == old
    export_bundle(loaded, place, OPTIONS, overwrite=True)
    assert sorted(tree(place)) == ["manifest.json", "onnx/encoder.onnx"]
    assert beside(place) == ["tiny"]


def test_an_empty_folder_may_become_the_bundle(loaded: Loaded, place: Path) -> None:
    place.mkdir(parents=True)
    export_bundle(loaded, place, OPTIONS)
    assert read_manifest(place).name == "tiny"
    assert beside(place) == ["tiny"]


def a_file(place: Path) -> None:
    place.write_text("precious")


def a_folder_of_other_things(place: Path) -> None:
    place.mkdir()
    (place / "thesis.tex").write_text("precious")


def a_link_to_a_bundle(place: Path) -> None:
    old_bundle(place.parent / "elsewhere")
    place.symlink_to("elsewhere")


def a_link_to_nothing(place: Path) -> None:
    place.symlink_to("nowhere")


@pytest.mark.parametrize(
    "obstacle", [a_file, a_folder_of_other_things, a_link_to_a_bundle, a_link_to_nothing]
)
@pytest.mark.parametrize("overwrite", [False, True], ids=["", "overwrite"])
def test_what_is_no_bundle_is_never_replaced(
    obstacle: Callable[[Path], None], overwrite: bool, loaded: Loaded, place: Path
) -> None:
    place.parent.mkdir()
    obstacle(place)
    before, names = tree(place.parent), beside(place)
    with pytest.raises(BundleError, match="something that is not a bundle is here"):
        export_bundle(loaded, place, OPTIONS, overwrite=overwrite)
    assert (tree(place.parent), beside(place)) == (before, names)


@pytest.mark.parametrize("nameless", [".", "..", "/", "some/.."])
def test_a_bundle_needs_a_name(
    nameless: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="with a name"):
        check_target(Path(nameless), overwrite=True)
    assert not list(tmp_path.iterdir())


def test_a_place_that_can_not_be_written_is_refused(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for place in (tmp_path / "file" / "tiny", tmp_path / "file" / "deeper" / "tiny"):
        with pytest.raises(BundleError, match="can't be written"):
            export_bundle(loaded, place, OPTIONS)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "fp12"}, "unknown precision 'fp12': expected one of all, fp16, fp32"),
        ({"batch": 0}, "expected a batch of at least 1 or 'dynamic', found 0"),
        ({"targets": ("onnx", "abacus")}, "unknown target 'abacus'"),
        ({"tile": 18}, "divides by 4, found 18"),
    ],
)
def test_an_unknown_option_is_refused(
    options: dict[str, object], words: str, loaded: Loaded, place: Path
) -> None:
    with pytest.raises(UnsupportedError, match=words) as caught:
        export_bundle(loaded, place, ExportOptions(**options))  # type: ignore[arg-type]
    assert isinstance(caught.value, TinySRError)
    assert not place.exists()
    assert not place.parent.exists() or beside(place) == []


def test_what_a_target_needs_is_built_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made_from = Target(name="engine", build=lambda _: tuple, needs=("onnx",), packages=())
    monkeypatch.setattr(targets, "TARGETS", (*targets.TARGETS, made_from))
    assert [target.name for target in targets.find_targets(["engine"])] == ["onnx", "engine"]
    assert [target.name for target in targets.find_targets(["onnx"])] == ["onnx"]
