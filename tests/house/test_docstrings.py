"""Docstrings are read alone, in an editor's tooltip: they begin with a noun that names them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from tests.support.house import modules

QUESTIONS = frozenset({"How", "What", "When", "Where", "Whether", "Which", "Who", "Whose", "Why"})

PREPOSITIONS = frozenset(
    {
        *("About", "After", "Against", "Among", "As", "At", "Because", "Before", "Behind"),
        *("Below", "Beside", "Between", "By", "For", "From", "In", "Inside", "Of", "On", "Over"),
        *("Per", "Since", "Than", "To", "Under", "Until", "Up", "Via", "With", "Within"),
        "Without",
    }
)

PARTICIPLES = frozenset(
    {"Added", "Called", "Given", "Held", "Kept", "Made", "Raised", "Rounded", "Said", "Told"}
)

OF_MODULES = QUESTIONS | PREPOSITIONS | PARTICIPLES

# A flag is "Whether …": a question, and the shortest way to say what True means.
OF_FIELDS = OF_MODULES - {"Whether"}


def first_word(docstring: str) -> str:
    return docstring.split(maxsplit=1)[0].strip(".,:;")


def fields(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names of variables and fields, each with the docstring beneath it."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for one, below in pairwise(body if isinstance(body, list) else []):
            match one, below:
                case (
                    ast.Assign(targets=[name]) | ast.AnnAssign(target=name),
                    ast.Expr(value=ast.Constant(value=str(words))),
                ):
                    yield ast.unparse(name), words


def test_a_modules_docstring_names_the_thing() -> None:
    documented = {name: ast.get_docstring(tree) for name, tree in modules().items()}
    begun = {name: first_word(text) for name, text in documented.items() if text}
    assert len(begun) > 400
    assert {name: word for name, word in begun.items() if word in OF_MODULES} == {}


def test_a_fields_docstring_begins_with_its_noun() -> None:
    begun = {
        f"{module}: {name}": first_word(text)
        for module, tree in modules().items()
        for name, text in fields(tree)
    }
    assert len(begun) > 900
    assert {name: word for name, word in begun.items() if word in OF_FIELDS} == {}
