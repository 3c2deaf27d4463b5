"""`tinysr inspect`, on models and on bundles."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

import tinysr
from tests.support.bundles import FAIL, edit_manifest, make_bundle
from tests.support.checkpoint_factory import save_released
from tinysr.cli.inspect import inspect
from tinysr.errors import BundleError, TinySRError
from tinysr.export.files import describe_file
from tinysr.manifest import schema


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(inspect)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def report(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exception is None
    data: dict[str, Any] = json.loads(result.stdout)
    return data


def test_the_paper_size_has_the_papers_figures() -> None:
    data = report("tinysr")
    millions = {form: cost["parameters"] / 1e6 for form, cost in data["totals"].items()}
    giga = {form: cost["macs"] / 1e9 for form, cost in data["totals"].items()}
    assert round(millions["baked"], 2) == 341.57
    assert round(millions["eager"], 1) == 524.5
    assert round(millions["unconditioned"]) == 516
    assert round(giga["folded"], 1) == 426.6
    assert data["trained"] is False
    assert data["config"]["transformer"]["depth"] == 12


def test_a_preset_is_shown_without_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(*_args: object, **_options: object) -> None:
        raise AssertionError("the weights were allocated")

    monkeypatch.setattr("tinysr.models.load_checkpoint", allocate)
    result = run("tinysr")
    assert result.exit_code == 0
    for figure in ("524.46", "341.57", "426.6", "38.65", "seeded weights"):
        assert figure in result.stdout


def test_a_checkpoint_is_shown_with_its_layout(tmp_path: Path) -> None:
    torch.manual_seed(80)
    save_released(tmp_path, encoder="separable", positions=32)
    data = report(tmp_path)
    assert (data["layout"], data["trained"], data["image_side"]) == ("released", True, 128)
    assert len(data["sha256"]) == len(data["lora_sha256"]) == 64
    assert data["sha256"] in run(tmp_path).stdout


def test_folding_leaves_the_stages_as_they_are() -> None:
    stages = report("tinysr-nano")["stages"]
    for stage in ("encoder", "transformer", "decoder"):
        assert stages[stage]["folded"] == stages[stage]["eager"]
    for stage in ("modulation", "conditioning"):
        assert stages[stage]["folded"]["parameters"] == 0


def test_an_unknown_model_is_refused() -> None:
    result = run("nothing")
    assert isinstance(result.exception, TinySRError)
    assert result.exception.exit_code == 2
    assert result.stdout == ""


def test_an_intact_bundle_is_shown(tmp_path: Path) -> None:
    data = report(make_bundle(tmp_path / "twin", verdict=FAIL))
    assert data["kind"] == "bundle"
    assert [a["stage"] for a in data["artifacts"]] == ["encoder", "transformer", "decoder"]
    checks = {e["check"] for a in data["artifacts"] for e in (a["file"], *a["data"])}
    assert checks == {"ok"}
    text = run(tmp_path / "twin").stdout
    for word in ("twin", "fail", "31.2 dB of 80", "weights.bin", "ok"):
        assert word in text


@pytest.mark.parametrize("damage", ["changed", "missing", "unreadable", "resized"])
def test_a_damaged_bundle_is_shown_then_refused(tmp_path: Path, damage: str) -> None:
    folder = make_bundle(tmp_path / "twin")
    path = folder / "onnx" / "encoder.onnx"
    content = bytearray(path.read_bytes())
    if damage in ("missing", "unreadable"):
        path.unlink()
    if damage == "unreadable":
        path.symlink_to(path.name)
    elif damage == "changed":
        content[40] ^= 1
        path.write_bytes(content)
    elif damage == "resized":
        os.truncate(path, 10)
    result = run(folder, "--json")
    check = "changed" if damage == "resized" else damage
    assert json.loads(result.stdout)["artifacts"][0]["file"]["check"] == check
    assert isinstance(result.exception, BundleError)
    assert f"onnx/encoder.onnx ({check})" in str(result.exception)


@pytest.mark.parametrize("kind", ["plan", "integers", "document"])
def test_an_edited_plan_or_document_of_a_bundle_is_named(tmp_path: Path, kind: str) -> None:
    folder = make_bundle(tmp_path / "twin")
    path = folder / "beside" / f"{kind}.toml"
    path.parent.mkdir()
    path.write_text("as it was", encoding="utf-8")
    entry = describe_file(folder, path).model_dump()
    more = {"plan": {"precision_plan": entry}, "integers": {"quantization_plans": {"int8": entry}}}
    edit_manifest(folder, lambda data: data.update(more.get(kind, {"documents": [entry]})))
    assert run(folder).exception is None
    path.write_text("as it is", encoding="utf-8")
    assert f"beside/{kind}.toml (changed)" in str(run(folder).exception)


def test_a_manifest_that_points_outside_is_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "twin")
    edit_manifest(folder, lambda data: data["artifacts"][0]["file"].update(path="../secret"))
    result = run(folder)
    assert isinstance(result.exception, BundleError)
    assert "leaves the bundle" in str(result.exception)


def test_the_published_schema_is_the_manifests() -> None:
    published = Path(tinysr.__file__).parent / "manifest.schema.json"
    assert published.read_text(encoding="utf-8") == schema(), (
        "the manifest changed: write tinysr.manifest.schema() to manifest.schema.json"
    )
