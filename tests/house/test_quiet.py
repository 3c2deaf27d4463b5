"""What has a measure is loaded by `quiet.load`, and in no other way."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.house import modules
from tinysr.quiet import MEASURES


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of every module that another imports by itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (
                (node.lineno, argument.value)
                for argument in node.args
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            )


def test_what_has_a_measure_is_loaded_in_no_other_way() -> None:
    loud = [
        f"{path}:{line}: {name}"
        for path, tree in modules().items()
        for line, name in imports(tree)
        if name.split(".")[0] in MEASURES
    ]
    assert loud == []
