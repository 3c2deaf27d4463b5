"""Everything is printed through `tinysr.terminal`: held by the source itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.house import modules

HOME = "src/tinysr/terminal/"

WRITERS = {"print", "typer.echo", "typer.secho", "sys.stdout.write", "sys.stderr.write"}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module)


def called(tree: ast.AST) -> Iterator[str]:
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Return all modules but the terminal's own."""
    return ((name, tree) for name, tree in modules().items() if not name.startswith(HOME))


def test_nothing_else_prints() -> None:
    for name, tree in trees():
        assert "rich" not in {module.split(".")[0] for module in imported(tree)}, name
        assert not WRITERS & set(called(tree)), name


def ends_with_main(tree: ast.Module) -> bool:
    return any("sys.exit(main(" in ast.unparse(n) for n in tree.body if isinstance(n, ast.If))


def test_every_program_begins_and_ends_as_all_do() -> None:
    programs = {name: tree for name, tree in trees() if ends_with_main(tree)}
    assert len(programs) > 12
    for name, tree in programs.items():
        (main,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "main")
        assert "program" in {ast.unparse(one) for one in main.decorator_list}, name


def test_what_children_print_is_read_in_one_encoding() -> None:
    """With `text=True` it would be read in the system's, in which they may not have written."""
    for name, tree in trees():
        assert "subprocess" not in set(imported(tree)), f"{name}: use run_child"
