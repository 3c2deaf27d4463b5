"""A bundle is complete under its name or absent, whatever happens while it is made."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.tiny_models import TILE, tiny_loaded
from tinysr.errors import BundleError, GateError, TinySRError, UnsupportedError
from tinysr.export import ExportOptions, check_target, export_bundle, targets
from tinysr.export.files import file_entry
from tinysr.export.onnx.target import onnx_path
from tinysr.export.options import Finish
from tinysr.export.target import Build, Target
from tinysr.manifest import Artifact, Manifest, Port, Verdict, read_manifest
from tinysr.models import Loaded, ModelConfig
from tinysr.parity.record import save_manifest

OPTIONS = ExportOptions(tile=TILE)


@pytest.fixture(autouse=True)
def quick_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put one small file where the graphs would be: tracing takes seconds."""

    def build(build: Build) -> Finish:
        path = onnx_path(build.bundle, "encoder", build.precision)
        path.parent.mkdir()
        build.progress("writing")
        path.write_text(f"{build.metadata['checkpoint']} {build.options.tile}")
        bundle = build.bundle
        port = Port(name="x", dtype="float32", shape=(1,))
        return lambda: (
            Artifact(
                target="onnx",
                stage="encoder",
                precision="fp32",
                file=file_entry(bundle, path),
                inputs=(port,),
                outputs=(port,),
            ),
        )

    quick = Target(name="onnx", build=build, packages=targets.TARGETS[0].packages)
    monkeypatch.setattr(targets, "TARGETS", (quick,))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "new" / "tiny"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def old_bundle(place: Path) -> dict[str, bytes]:
    """Put something in place that looks like an older bundle, and return its files."""
    place.mkdir(parents=True)
    (place / "manifest.json").write_text("{}")
    (place / "old.onnx").write_text("old")
    return tree(place)


def beside(place: Path) -> list[str]:
    return sorted(path.name for path in place.parent.iterdir())


def failing_gate(_: Path) -> None:
    raise GateError("onnx/encoder fp32: 12 dB, expected 80")


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
    assert steps[0] == "baking the constants"


def test_the_manifest_says_what_was_made_from_what(loaded: Loaded, place: Path) -> None:
    manifest: Manifest = export_bundle(loaded, place, OPTIONS)
    assert manifest.name == "tiny"
    assert manifest.tile == TILE
    assert manifest.overlap == 2
    assert manifest.source == loaded.source
    assert ModelConfig.from_dict(manifest.config) == loaded.model.config
    assert 0 < manifest.bake.difference <= manifest.bake.tolerance == 1e-4
    assert manifest.bake.passes[0] == "freeze_conditioning"
    assert manifest.halo.encoder > 0 < manifest.halo.decoder
    assert manifest.latent_scale == pytest.approx(1 / (3 * 0.7))
    assert {"torch", "onnx", "onnxsim", "onnxruntime"} <= manifest.tools.keys()


def interrupt_in_progress() -> dict[str, object]:
    def progress(text: str) -> None:
        if text == "writing":
            raise KeyboardInterrupt

    return {"progress": progress}


def interrupt_in_gate() -> dict[str, object]:
    def gate(_: Path) -> None:
        raise KeyboardInterrupt

    return {"gate": gate}


def full_disk() -> dict[str, object]:
    def progress(text: str) -> None:
        if text == "writing":
            raise OSError(28, "No space left on device")

    return {"progress": progress}


def crash_in_gate() -> dict[str, object]:
    def gate(_: Path) -> None:
        raise RuntimeError

    return {"gate": gate}


TROUBLES = [interrupt_in_progress, interrupt_in_gate, crash_in_gate, full_disk]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_leaves_nothing(
    trouble: Callable[[], dict[str, object]], loaded: Loaded, place: Path
) -> None:
    with pytest.raises((KeyboardInterrupt, RuntimeError, BundleError)):
        export_bundle(loaded, place, OPTIONS, **trouble())  # type: ignore[arg-type]
    assert beside(place) == []


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_leaves_the_older_bundle(
    trouble: Callable[[], dict[str, object]], loaded: Loaded, place: Path
) -> None:
    old = old_bundle(place)
    with pytest.raises((KeyboardInterrupt, RuntimeError, BundleError)):
        export_bundle(loaded, place, OPTIONS, overwrite=True, **trouble())  # type: ignore[arg-type]
    assert tree(place) == old
    assert beside(place) == ["tiny"]


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


def test_a_full_disk_is_named(loaded: Loaded, place: Path) -> None:
    with pytest.raises(BundleError, match="tiny: can't be written: No space left on device"):
        export_bundle(loaded, place, OPTIONS, **full_disk())  # type: ignore[arg-type]


def test_a_place_that_can_not_be_replaced_stays(
    loaded: Loaded, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a mount point can't."""
    old = old_bundle(place)
    rename = Path.rename

    def busy(self: Path, target: str | os.PathLike[str]) -> Path:
        if Path(target) == place and not (self / "old.onnx").exists():
            raise OSError(16, "Device or resource busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", busy)
    with pytest.raises(BundleError, match="can't be written: Device or resource busy"):
        export_bundle(loaded, place, OPTIONS, overwrite=True)
    assert tree(place) == old
    assert beside(place) == ["tiny"]


def test_a_failed_gate_keeps_the_bundle_under_another_name(loaded: Loaded, place: Path) -> None:
    with pytest.raises(GateError, match=r"12 dB, expected 80; the bundle is kept as .*rejected"):
        export_bundle(loaded, place, OPTIONS, gate=failing_gate)
    assert beside(place) == ["tiny.rejected"]
    rejected = place.with_name("tiny.rejected")
    assert sorted(tree(rejected)) == ["manifest.json", "onnx/encoder.onnx"]
    (rejected / "note.txt").write_text("of the first try")
    with pytest.raises(GateError):
        export_bundle(loaded, place, OPTIONS, gate=failing_gate)
    assert sorted(tree(rejected)) == ["manifest.json", "onnx/encoder.onnx"]


def test_a_failed_gate_leaves_the_older_bundle(loaded: Loaded, place: Path) -> None:
    old = old_bundle(place)
    with pytest.raises(GateError):
        export_bundle(loaded, place, OPTIONS, gate=failing_gate, overwrite=True)
    assert tree(place) == old
    assert beside(place) == ["tiny", "tiny.rejected"]


def test_a_failed_gate_is_reported_even_where_the_bundle_can_not_be_kept(
    loaded: Loaded, place: Path
) -> None:
    place.parent.mkdir()
    place.with_name("tiny.rejected").write_text("precious")
    with pytest.raises(GateError, match="12 dB"):
        export_bundle(loaded, place, OPTIONS, gate=failing_gate)
    assert place.with_name("tiny.rejected").read_text() == "precious"
    assert beside(place) == ["tiny.rejected"]


def test_a_failed_proof_leaves_nothing(place: Path) -> None:
    broken = tiny_loaded()
    with torch.no_grad():
        broken.model.decoder.layers[-1].bias[0] = torch.nan  # type: ignore[operator,index]
    with pytest.raises(GateError, match="differs from the eager one by nan"):
        export_bundle(broken, place, OPTIONS)
    assert beside(place) == []


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
    assert [target.name for target in targets.targets_for(["engine"])] == ["onnx", "engine"]
    assert [target.name for target in targets.targets_for(["onnx"])] == ["onnx"]
