"""Only `paths.py` and `places.py` ask the system about a path; whoever else does says why."""

from __future__ import annotations

import ast

import pytest

from tests.support.house import ROOMS, calls, modules

# Whoever asks a path without `tinysr.paths` must say here why nothing can go wrong.
ALLOWED = {
    "src/tinysr/paths.py": "the one place",
    "src/tinysr/atomic.py": "asks only what it made itself",
    "src/tinysr/abandoned.py": "asks its own passing names, where it takes OSErrors",
    "src/tinysr/models/families/tinysr": "load.py turns every OSError into one line",
    "src/tinysr/models/families/tsd_sr": "load.py turns every OSError into one line",
    "src/tinysr/models/checkpoints": "load.py turns every OSError into one line",
    "src/tinysr/training/engine/checkpoint.py": "the run's own folder, which the loop has asked",
    "runtime/integrity.py": "every OSError is an answer",
    "runtime/hashes.py": "its callers take OSErrors; what it keeps is its own",
    "runtime/folder/walk.py": "reports the folders that can't be listed",
    "export/apple/documents.py": "resources of the package",
    "export/tensorrt/cache.py": "its own folder, where it takes OSErrors",
    "calibration/shipped.py": "resources of the package",
}

METHODS = {
    *("exists", "is_file", "is_dir", "is_symlink", "is_mount", "resolve", "stat", "lstat"),
    *("samefile", "readlink", "iterdir", "glob", "rglob", "walk", "listdir", "scandir"),
    *("isfile", "isdir", "islink", "lexists", "realpath", "getsize"),
}


def _asks(tree: ast.Module) -> list[str]:
    """Return the calls in a module that ask the system about a path."""
    asked = []
    for call in calls(tree):
        method = call.func
        if not isinstance(method, ast.Attribute) or method.attr not in METHODS:
            continue
        if isinstance(method.value, ast.Name) and method.value.id in ("paths", "ast"):
            continue
        asked.append(f"line {call.lineno}: {method.attr}")
    return asked


def _allowed(path: str) -> bool:
    return any(path == allowed or path.startswith(f"{allowed}/") for allowed in ALLOWED)


@pytest.mark.parametrize("room", ROOMS)
def test_paths_are_asked_about_in_one_place(room: str) -> None:
    files = {path: tree for path, tree in modules().items() if path.startswith(f"{room}/")}
    assert files
    asked = {path: _asks(tree) for path, tree in files.items() if not _allowed(path)}
    assert {path: found for path, found in asked.items() if found} == {}
