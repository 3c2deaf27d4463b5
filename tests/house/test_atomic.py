"""Only `atomic.py` writes files where users look for them: no other module leaves half a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.support.house import called, calls, keeper, modules

WRITERS = {
    *("write_text", "write_bytes", "save_file", "save", "savefig", "savez", "savez_compressed"),
    *("mkstemp", "NamedTemporaryFile", "copyfile", "copytree", "copy2", "move", "link", "symlink"),
    *("symlink_to", "hardlink_to", "touch", "tofile", "SummaryWriter", "save_model"),
}
"""Names of functions that write a file, in the libraries that are used here."""

OPENERS = {"open", "fdopen", "FileIO"}

SAFE = {"replace_atomically", "replace_whole", "temporary_folder", "TemporaryDirectory"}
"""Who calls one of these in the same function writes to a place that nobody looks at yet."""

IN_A_NEW_BUNDLE = "into a folder of `replace_whole`, which its caller puts in place"

EXCEPTIONS = {
    "src/tinysr/atomic.py": "the one place",
    "benchmarks/runtime/throughput.py make_photos": "into the temporary folder of its caller",
    "export/bundle.py": IN_A_NEW_BUNDLE,
    "export/apple/coreml/package.py": IN_A_NEW_BUNDLE,
    "export/apple/documents.py": IN_A_NEW_BUNDLE,
    "export/onnx/target.py": IN_A_NEW_BUNDLE,
    "export/openvino/weights.py": IN_A_NEW_BUNDLE,
    "export/tensorrt/build.py build_engine": IN_A_NEW_BUNDLE,
    "export/tensorrt/isolated.py": "into a pipe",
    "export/onnx/weights.py": IN_A_NEW_BUNDLE,
    "runtime/files/pillow_write.py": "into a file that `saving.py` opened",
    "runtime/files/vips_write.py": "into a file that `saving.py` opened",
    "runtime/folder/log.py": "a log, one whole line after the other",
    "src/tinysr/terminal/streams.py": "into the null device",
    "src/tinysr/training/engine/display.py": "TensorBoard's log, record by record",
}
"""Modules, or functions of theirs, that write by themselves, and where to."""


def writes(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls in a tree that write a file, or may."""
    for call in calls(tree):
        name = called(call)
        method = isinstance(call.func, ast.Attribute)
        writes_by_name = name in WRITERS and (method or name != "save")
        dumps = name == "dump" and "json" in ast.unparse(call.func)
        opens = name in OPENERS and bool(_mode(call) & set("wxa+"))
        if writes_by_name or dumps or opens:
            yield call


def _mode(call: ast.Call) -> set[str]:
    """Return the letters of the mode of a call that opens a file."""
    words = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
    texts = [word.value for word in words if isinstance(word, ast.Constant)]
    return {c for text in texts if isinstance(text, str) and len(text) <= 3 for c in text}


def unsafe(path: str, tree: ast.Module) -> list[str]:
    """Return the calls that write where somebody may look."""
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    safe = {call for function in functions for call in writes(function) if _safe(function, call)}
    found = [call for call in writes(tree) if call not in safe]
    return [
        f"{call.lineno}: {ast.unparse(call)[:60]}"
        for call in found
        if f"{path} {keeper(tree, call)}" not in EXCEPTIONS
    ]


def _safe(function: ast.FunctionDef, call: ast.Call) -> bool:
    if any(called(other) in SAFE for other in calls(function)):
        return True
    target = call.args[0] if call.args else None
    return isinstance(target, ast.Name) and target.id in set(_in_memory(function))


def _in_memory(function: ast.FunctionDef) -> Iterator[str]:
    """Yield the variables of a function that are files in memory."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        if called(node.value) in ("BytesIO", "StringIO"):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("path", modules())
def test_no_module_writes_files_by_itself(path: str) -> None:
    if path not in EXCEPTIONS:
        assert unsafe(path, modules()[path]) == [], "write with tinysr.atomic"


@pytest.mark.parametrize(
    "code",
    [
        "def f(p): p.write_text('x')",
        "def f(p): open(p, 'w').write('x')",
        "def f(p): p.open('x+b')",
        "def f(p): save_file({}, p)",
        "def f(p): json.dump({}, p)",
        "def f(p): image.save(p)",
        "def f(p): os.fdopen(p, mode='a')",
    ],
)
def test_the_rule_sees_what_writes(code: str) -> None:
    assert unsafe("x.py", ast.parse(code))
    assert not unsafe(
        "x.py", ast.parse(code.replace(": ", ":\n  with replace_atomically(p) as p: ", 1))
    )


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_every_exception_is_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = name.split(maxsplit=1)[0]
    monkeypatch.delitem(EXCEPTIONS, name)
    assert unsafe(path, modules()[path]), f"{name} no longer writes by itself: drop the exception"
