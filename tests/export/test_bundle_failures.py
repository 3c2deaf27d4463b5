"""Whatever happens while a bundle is made: nothing half-made is left, and the older one stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.folders import beside, old_bundle, tree
from tests.support.tiny_models import TILE, tiny_loaded
from tinysr.errors import BundleError, GateError
from tinysr.export import ExportOptions, export_bundle
from tinysr.models import Loaded

OPTIONS = ExportOptions(tile=TILE)

pytestmark = pytest.mark.usefixtures("quick_target")


def failing_gate(_: Path) -> None:
    raise GateError("onnx/encoder fp32: 12 dB, expected 80")


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
        broken.tinysr.decoder.layers[-1].get_parameter("bias")[0] = torch.nan
    with pytest.raises(GateError, match="differs from the eager one by nan"):
        export_bundle(broken, place, OPTIONS)
    assert beside(place) == []
