"""A bundle's model is held against the hash in its manifest, whoever loads it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.bundles import edit_manifest, make_bundle
from tests.support.house import called, calls, modules
from tests.support.tiny_models import CONFIG, tiny_model
from tinysr.benchmarks.gpu_check import check
from tinysr.benchmarks.timing import QUICK
from tinysr.benchmarks.versus.others import OTHERS, export_plain_onnx, open_contender
from tinysr.benchmarks.versus.side_by_side import measure
from tinysr.errors import CheckpointError
from tinysr.models import PRESETS, load_source
from tinysr.runtime import Bundle, Upscaler
from tinysr.workflows.models import open_model

family_module = importlib.import_module("tinysr.models.families.tinysr.family")

Run = Callable[..., tuple[int, str, str]]


def contender(name: str) -> Callable[[Path, Path], object]:
    """Return what opens another way to run a bundle."""
    return lambda folder, scratch: open_contender(
        Bundle(folder), name, scratch / "plain.onnx", ExitStack()
    )


USERS: dict[str, Callable[[Path, Path], object]] = {
    **{f"the contender {name}": contender(name) for name in OTHERS},
    "the unbaked graph": lambda folder, scratch: export_plain_onnx(
        Bundle(folder), scratch / "plain.onnx"
    ),
    "all contenders": lambda folder, _: measure(folder, QUICK),
    "the check on a GPU": lambda folder, _: check.check_bundle(folder, "fp32", print, None),
    "the backend eager": lambda folder, _: Upscaler(folder, backend="eager"),
    "the calibration": lambda folder, _: open_model(str(folder)),
    "anybody": lambda folder, _: load_source(Bundle(folder).manifest.source),
}


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a bundle that bears the name of a preset whose weights are others."""
    monkeypatch.setitem(PRESETS, "small", CONFIG)
    family = replace(family_module.TINYSR, presets=("small",), untrained=frozenset({"small"}))
    monkeypatch.setattr(family_module, "UNTRAINED", family.untrained)
    monkeypatch.setattr(family_module, "seed_model", lambda _: tiny_model())
    monkeypatch.setattr("tinysr.models.families.registry.FAMILIES", (family,))

    def rename(data: dict[str, dict[str, object]]) -> None:
        data["source"] |= {"kind": "preset", "name": "small"}

    folder = make_bundle(tmp_path / "bundle")
    edit_manifest(folder, rename)
    return folder


@pytest.mark.parametrize("user", USERS)
def test_another_model_of_the_same_name_is_refused(user: str, other: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"made from another model: expected SHA-256 0{64}"):
        USERS[user](other, tmp_path)
    assert not (tmp_path / "plain.onnx").exists()


@pytest.mark.parametrize("command", ["parity", "compare", "calibrate"])
def test_the_commands_refuse_it_too(command: str, other: Path, run: Run) -> None:
    code, _, err = run(command, other)
    assert code == 2
    assert "made from another model" in err


def test_nobody_loads_a_model_by_a_manifests_name() -> None:
    """Whoever has a source has its hash: `load_source` compares it."""
    loaders = {"load", "load_checkpoint"}
    found = [
        f"{path}:{call.lineno}"
        for path, tree in modules().items()
        if path != "src/tinysr/models/source.py"
        for call in calls(tree)
        if called(call) in loaders
        for argument in call.args
        if "source" in ast.unparse(argument) and "torch.export" not in ast.unparse(call.func)
    ]
    assert found == []
