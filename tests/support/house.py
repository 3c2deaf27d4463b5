"""The project's own modules, parsed: for tests of rules that hold for all of its code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from tests.support.project import ROOT

ROOMS = ("src/tinysr", "export", "runtime", "calibration", "benchmarks")


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module of the project by its path, with forward slashes."""
    files = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in files
    }


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield all calls inside a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node


def called(call: ast.Call) -> str:
    """Return the last part of what is called: ``save`` of ``image.save(...)``."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def keeper(tree: ast.Module, inner: ast.AST) -> str:
    """Return the name of the function or class at the module's level that has a node."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and inner in ast.walk(node):
            return node.name
    return ""
