"""`tinysr doctor`."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tinysr.cli.doctor import doctor, extra_rows
from tinysr.errors import MissingBackendError
from tinysr.runtime import BACKENDS

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def read_extras() -> dict[str, list[str]]:
    """Return what the project declares for its users: each extra's requirements."""
    extras: dict[str, list[str]] = tomllib.loads(PROJECT.read_text())["project"][
        "optional-dependencies"
    ]
    return {name: rows for name, rows in extras.items() if name not in {"dev", "docs"}}


def needs_torch(name: str) -> bool:
    rows = read_extras()[name]
    included = [inner for row in rows for inner in re.findall(r"[\w-]+", row.partition("[")[2])]
    return any(row.startswith("torch>") for row in rows) or any(map(needs_torch, included))


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
    assert extras == set(read_extras())
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
    needing = [row for row in extra_rows() if needs_torch(row.name)]
    assert {"models", "export", "train"} <= {row.name for row in needing}
    assert all("torch" in row.missing for row in needing)
    # The packages of "teach" are large, and only the slow checks install them.
    assert all(row.missing == ("torch",) for row in needing if row.name != "teach")
    result = run()
    assert result.exit_code == 0
    assert "pip install 'tinysr[export]'" in result.stdout


def refuse(*_: object, **__: object) -> None:
    raise RuntimeError("Could not determine\nhome directory.")


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
@pytest.mark.parametrize("backend", [kind.name for kind in BACKENDS])
def test_a_library_that_fails_when_it_is_asked_is_told_in_its_line(
    backend: str, form: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    (kind,) = (kind for kind in BACKENDS if kind.name == backend)
    monkeypatch.setattr(kind, "availability", refuse)
    result = run(*form)
    assert result.exit_code == 0
    if form:
        rows = json.loads(result.stdout)["backends"]
        (row, *_) = (row for row in rows if row["name"] == backend)
        assert not row["ready"]
        assert row["detail"].endswith("RuntimeError: Could not determine home directory.")
        assert any(other["ready"] for other in rows)


@pytest.mark.parametrize(
    "what",
    [
        "tinysr.runtime.BACKENDS",
        "tinysr.cli.doctor.extra_rows",
        "tinysr.cli.doctor.find_versions",
        "platform.platform",
        "importlib.metadata.requires",
        "importlib.metadata.version",
    ],
)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
def test_doctor_survives_whatever_it_looks_at(
    what: str, form: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(what, None if what.endswith("BACKENDS") else refuse)
    result = run(*form)
    assert result.exit_code == 0, result.exception
    assert "failed" in result.stdout


def test_a_backend_that_fails_when_it_is_asked_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = BACKENDS[0]
    monkeypatch.setattr(kind, "availability", refuse)
    with pytest.raises(MissingBackendError, match="Could not determine home") as caught:
        kind().demand()
    assert "\n" not in str(caught.value)
