"""What runs, measures and calibrates models knows no stage by its name."""

from __future__ import annotations

import ast

from tests.support.house import modules
from tinysr.models import FAMILIES

NAMES = {"encoder", "transformer", "decoder", "unet", "latents", "velocity", "restored"}
"""Names of families' stages and of the fields between them."""

GENERAL = ("runtime/", "calibration/", "benchmarks/", "src/tinysr/parity/", "src/tinysr/workflows/")


def test_no_stage_is_known_by_its_name() -> None:
    found = {
        f"{path}:{node.lineno}: {node.value}"
        for path, tree in modules().items()
        if path.startswith(GENERAL)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in NAMES
    }
    assert found == set()


def test_families_are_known_by_different_names() -> None:
    for names in ([f.name for f in FAMILIES], [name for f in FAMILIES for name in f.presets]):
        assert len({*names}) == len(names)
