"""Files and functions are short enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.house import modules
from tests.support.project import ROOT

MOST_LINES = 249
MOST_FUNCTION_LINES = 60
MOST_PARAMETERS = 8

MANY_PARAMETERS = {
    "runtime/mil/ops/convolution.py conv_transpose": "the operation's own inputs",
    "runtime/upscaler.py __init__": "keywords with defaults that users type",
}
"""Functions with more parameters, and the reason."""


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield f"{module} {node.name}", node


def count_lines(function: ast.FunctionDef) -> int:
    """Return the lines of a function beside its docstring and what is above it."""
    first = function.body[1 if ast.get_docstring(function) else 0 :]
    return (function.end_lineno or 0) - first[0].lineno + 1 if first else 0


def count_parameters(function: ast.FunctionDef) -> int:
    own = function.args
    names = [one.arg for one in (*own.posonlyargs, *own.args, *own.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_files_are_short() -> None:
    lines = {
        module: len((ROOT / module).read_text(encoding="utf-8").splitlines())
        for module in modules()
    }
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_functions_are_short() -> None:
    lines = {name: count_lines(function) for name, function in functions()}
    assert {name: count for name, count in lines.items() if count > MOST_FUNCTION_LINES} == {}


def test_functions_have_few_parameters() -> None:
    counts = {name: count_parameters(function) for name, function in functions()}
    many = {name for name, count in counts.items() if count > MOST_PARAMETERS}
    assert many == MANY_PARAMETERS.keys()
