"""The tests' own rules: folders that mirror the packages, short files, and strict types."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.project import ROOT

TESTS = ROOT / "tests"

LONGEST = 300
"""Lines of a file of tests, or of a helper."""

OWN = {"house", "isa", "support"}
"""Folders that stand for no package: rules, other CPUs, and helpers."""


@cache
def files() -> dict[str, str]:
    """Return the text of every test and helper, by its path below `tests`."""
    found = sorted(TESTS.rglob("*.py"))
    return {path.relative_to(TESTS).as_posix(): path.read_text("utf-8") for path in found}


def folders() -> set[Path]:
    """Return the folders with tests or helpers, below `tests`."""
    return {Path(path).parent for path in files()}


def imported(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_files_are_short() -> None:
    lengths = {path: text.count("\n") for path, text in files().items()}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_folders_mirror_the_packages() -> None:
    mirrored = {folder for folder in folders() if not {*folder.parts} & OWN}
    assert Path("export/onnx") in mirrored
    places = {folder: (ROOT / folder, ROOT / "src/tinysr" / folder) for folder in mirrored}
    strangers = {
        folder.as_posix()
        for folder, (room, inner) in places.items()
        if not room.is_dir() and not inner.is_dir()
    }
    assert strangers == set(), "no package of that name: mirror one, or put helpers into support"


def test_every_folder_is_a_package() -> None:
    """Or two files of one name would be one module."""
    without = {
        folder.as_posix() for folder in folders() if not (TESTS / folder / "__init__.py").exists()
    }
    assert without == set()


def test_what_several_files_need_is_in_support() -> None:
    of_tests = {
        path: name
        for path, text in files().items()
        for name in imported(text)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    }
    assert of_tests == {}, "tests import from tests: move it into tests/support"


def test_helpers_have_no_tests() -> None:
    held = {path for path in files() if path.startswith("support/") and "/test_" in path}
    assert held == set()


def test_types_are_checked_strictly() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
    assert settings["packages"] == ["tinysr", "tests"]
    assert settings["strict"]
    loose = {"ignore_errors", "disallow_untyped_defs", "check_untyped_defs"}
    assert not [o for o in settings["overrides"] if loose & o.keys()]
