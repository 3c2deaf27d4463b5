"""TinySRKit parses, its names are declared, and its golden vectors are those of this runtime."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tree_sitter_swift
from tree_sitter import Language, Node, Parser

from tests.support import golden_swift
from tests.support.project import ROOT

KIT = ROOT / "runtime" / "swift"
FILES = sorted(path for path in KIT.rglob("*.swift") if ".build" not in path.parts)
SOURCES = [path for path in FILES if "Sources" in path.parts]
OLD = "the runtime changed: run `make golden`, and change TinySRKit along with it"
APPLE = ("Accelerate", "CoreGraphics", "CoreML", "CoreVideo", "VideoToolbox")


@pytest.fixture(scope="module")
def parser() -> Parser:
    return Parser(Language(tree_sitter_swift.language()))


def problems(node: Node) -> Iterator[str]:
    """Yield the places that are no Swift, or where something is missing."""
    if node.is_error or node.is_missing:
        kind = "missing" if node.is_missing else "error"
        yield f"line {node.start_point.row + 1}: {kind} {node.text!r}"
    for child in node.children:
        yield from problems(child)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_swift(path: Path, parser: Parser) -> None:
    tree = parser.parse(path.read_bytes())
    assert not list(problems(tree.root_node))
    assert tree.root_node.child_count > 0


def test_the_parser_finds_what_is_wrong(parser: Parser) -> None:
    tree = parser.parse(b"func f( -> Int { return 1 }")
    assert list(problems(tree.root_node))


def leaves(data: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of JSON data with its place; lists of numbers and bytes as arrays."""
    if isinstance(data, dict):
        for key, value in data.items():
            image = key in ("pixels", "upscaled", "result")
            bytes_ = np.frombuffer(base64.b64decode(value), np.uint8) if image else None
            yield from leaves(value if bytes_ is None else bytes_, f"{place}/{key}")
    elif isinstance(data, list) and data and isinstance(data[0], dict):
        for index, value in enumerate(data):
            yield from leaves(value, f"{place}/{index}")
    else:
        yield place, np.array(data) if isinstance(data, list) else data


def test_the_golden_vectors_are_those_of_this_runtime() -> None:
    """Up to the last digit, in which processors differ: a byte may fall to its neighbour."""
    written = dict(leaves(json.loads(golden_swift.PATH.read_text(encoding="utf-8"))))
    current = dict(leaves(json.loads(golden_swift.golden())))
    assert written.keys() == current.keys(), OLD
    for place, value in current.items():
        if isinstance(value, np.ndarray):
            relative, absolute = {"f": (1e-6, 1e-6), "u": (0, 1), "i": (0, 0)}[value.dtype.kind]
            close = np.allclose(written[place].astype(float), value, relative, absolute)
            assert close, f"{place}: {OLD}"
        else:
            assert written[place] == value, f"{place}: {OLD}"


def test_every_error_that_is_thrown_is_declared_and_explained() -> None:
    errors = (KIT / "Sources/TinySRKit/Errors.swift").read_text(encoding="utf-8")
    declared = set(re.findall(r"^    case (\w+)\(", errors, re.MULTILINE))
    used = {
        name
        for path in FILES
        for name in re.findall(r"TinySRError\.(\w+)\(", path.read_text(encoding="utf-8"))
    }
    assert used <= declared
    assert declared <= used | {"modelUnfit"}
    described, advised = errors.split("var recoverySuggestion")
    for name in declared:
        assert re.search(rf"case \.{name}\b", described)
        assert re.search(rf"\.{name}\b", advised)


def test_the_mathematics_needs_no_apple_framework() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        imported = set(re.findall(r"^import (\w+)", text, re.MULTILINE))
        guarded = text.startswith("#if canImport(CoreML)\n") and text.endswith("#endif\n")
        assert guarded == bool(imported & set(APPLE)), path.name


def test_files_are_short() -> None:
    lengths = {path.name: path.read_text(encoding="utf-8").count("\n") for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 250} == {}


def swift() -> str | None:
    """Return the Swift compiler's driver; OpenStack has a command of the same name."""
    found = shutil.which("swift")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    return found if "Swift version" in said.stdout + said.stderr else None


@pytest.mark.slow
def test_swift_computes_what_python_computes(tmp_path: Path) -> None:
    """Without Apple's frameworks the mathematics is compiled alone: that is what is compared."""
    compiler = swift()
    if compiler is None:
        pytest.skip("no Swift compiler on this machine")
    kit = tmp_path / "TinySRKit"
    shutil.copytree(KIT, kit, ignore=shutil.ignore_patterns(".build"))
    ended = subprocess.run(  # noqa: S603
        [compiler, "test", "--package-path", str(kit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Executed" in ended.stdout + ended.stderr
