"""`tinysr doctor`."""

from __future__ import annotations

import json
import sys
from importlib import metadata

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from tinysr.cli.doctor import doctor, extra_rows

WITHOUT_TORCH = {"rtx", "openvino"}


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(doctor)
    return CliRunner().invoke(app, arguments)


def test_it_reports_every_backend_extra_and_version() -> None:
    result = run("--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    names = {(row["name"], row["provider"]) for row in report["backends"]}
    assert {("onnxruntime", "cpu"), ("onnxruntime", "cuda"), ("eager", "")} <= names
    assert all(row["ready"] != bool(row["remedy"]) for row in report["backends"])
    extras = {row["name"] for row in report["extras"]}
    with_torch = {"models", "parity", "export", "calibrate", "bench", "train", "coreml", "coreai"}
    assert extras == with_torch | WITHOUT_TORCH
    assert report["packages"]["numpy"] == metadata.version("numpy")
    assert sys.version.startswith(report["python"])


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    version = metadata.version

    def without_torch(package: str) -> str:
        if package == "torch":
            raise metadata.PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(metadata, "version", without_torch)
    needing = [row for row in extra_rows() if row.name not in WITHOUT_TORCH]
    assert all(row.missing == ("torch",) for row in needing)
    result = run()
    assert result.exit_code == 0
    assert "pip install 'tinysr[export]'" in result.stdout
