"""Functions are verbs: a name that begins with a participle or an adverb says nothing alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.house import modules

# `with_`, `from_`, `to_`, `as_`, `of` and `on_` begin names that Python's own library has as well.
WORDS = frozenset(
    {
        *("after", "again", "all", "alone", "any", "anything", "apart", "around", "before"),
        *("below", "beside", "built", "by", "chosen", "deaf", "even", "every", "everything"),
        *("found", "frozen", "further", "given", "held", "here", "inside", "itself", "just"),
        *("kept", "known", "later", "left", "made", "more", "most", "near", "none", "nothing"),
        *("only", "other", "others", "ours", "said", "several", "shown", "single", "still"),
        *("taken", "there", "too", "until", "up", "within", "without", "written"),
    }
)

ENDS = ("ed", "ly")

# Words with such an end that are verbs or nouns, or the field's own.
FINE = frozenset({"apply", "feed", "generalized", "seed", "speed", "squared"})

# Operations of ML programs have MIL's names.
NAMED_BY_OTHERS = ("runtime/mil/ops/",)


def is_property(function: ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in function.decorator_list)


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for module, tree in modules().items():
        if not module.startswith(NAMED_BY_OTHERS):
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("__"):
                    yield module, node


def first_word(name: str) -> str:
    return name.lstrip("_").split("_", maxsplit=1)[0]


def says_nothing(word: str) -> bool:
    return word not in FINE and (word in WORDS or word.endswith(ENDS))


def test_functions_are_verbs() -> None:
    named = [(module, one.name) for module, one in functions() if not is_property(one)]
    assert len(named) > 2000
    assert [one for one in named if says_nothing(first_word(one[1]))] == []


def test_the_rule_sees_participles_and_adverbs() -> None:
    for name in ("_said", "held", "_plainly", "given", "further", "_measured", "shown_name"):
        assert says_nothing(first_word(name)), name
    for name in ("_say", "hold", "apply_plan", "with_suffix", "psnr", "adain", "seed_model"):
        assert not says_nothing(first_word(name)), name
