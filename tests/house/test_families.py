"""What runs, measures and calibrates models knows no stage by its name, and no size of one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.house import modules
from tinysr.models import FAMILIES

NAMES = {"encoder", "transformer", "decoder", "unet", "latents", "velocity", "restored"}
"""Names of families' stages and of the fields between them."""

GENERAL = ("runtime/", "calibration/", "benchmarks/", "src/tinysr/parity/", "src/tinysr/workflows/")

WIDER = (*GENERAL, "src/tinysr/cli/", "export/")
"""Rooms that know no size of a family's cells."""

FAMILIES_OWN = ("export/families/",)
"""Rooms below them that are a family's own."""

STRIDES = {2, 4, 8, 16, 64}
"""Pixels along a cell of some family, and their products."""

SIZE = re.compile(
    r"(^|_)(scale|strides?|multiple|pixels?|tiles?|sides?|size|shape|width|height|rows"
    r"|columns|cells?|windows?|halos?|overlap|longest|around|top|left)(_|$)"
)
"""Names of sizes."""

ALLOWED = {
    "both sides of what is in the middle": {
        "(len(line) - SCALE) // 2",
        "(length - side) // 2",
        "cells.shape[-1] // 2",
        "(pair.low.shape[0] - rows) // 2",
        "(pair.low.shape[1] - columns) // 2",
        "(side - columns) // 2",
        "(side - rows) // 2",
        "(tile - 1) / 2",
        "2 * around",
        "2 * halo",
        "2 * stage.division.halo",
    },
    "two tiles beside each other, twice a size, half a window": {
        "2 * side",
        "2 * sides[-1]",
        "2 * stage.division.side",
        "2 * tile",
        "manifest.tile // 2",
    },
    "rounded to the nearest: half the divisor is added": {
        "short * 2",
        "side * tile * 2",
    },
    "a tuple of two or four equal sides": {
        "(self._tile,) * 2",
    },
    "bytes of a value, and bits of a byte": {
        "(header.width + 7) // 8",
        "2 * offset.size",
        "4 * int(np.prod(shape))",
        "8 // width",
    },
    "a file's own layout: halves of planes, masks below pictures": {
        "2 * entry.height",
        "height // 2",
        "top // 2",
    },
    "numbers come in pairs, before and after": {
        "len(sides) // 2",
    },
    "statistics, whose names are sizes by chance": {
        "(left + right) / 2",
        "2 / shape",
        "side.single.spread / 2",
    },
    "pruning is TinySR's alone, which needs whole tokens": {
        "options.side % 4",
    },
}
"""Expressions that are geometry of no family, by what they are."""


def test_no_stage_is_known_by_its_name() -> None:
    found = {
        f"{path}:{node.lineno}: {node.value}"
        for path, tree in modules().items()
        if path.startswith(GENERAL)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in NAMES
    }
    assert found == set()


def test_no_stride_stands_outside_families() -> None:
    allowed = set().union(*ALLOWED.values())
    found = {
        f"{path}:{node.lineno}: {text}"
        for path, tree in modules().items()
        if path.startswith(WIDER) and not path.startswith(FAMILIES_OWN)
        for node, text in find_strides(tree)
        if text not in allowed
    }
    assert found == set(), "take the size from the chain, or say in ALLOWED what it is"


def test_strides_are_found() -> None:
    tree = ast.parse(
        "a = 4 * side\nb = image.shape[2] // 8\nheight %= 16\n_SCALE = 4\nTILE_STEP: int = 64\n"
        "c = 3 * side\nd = 4 * count\nrows = 4\n"
    )
    assert sorted(node.lineno for node, _ in find_strides(tree)) == [1, 2, 3, 4, 5]


def test_families_are_known_by_different_names() -> None:
    for names in ([f.name for f in FAMILIES], [name for f in FAMILIES for name in f.presets]):
        assert len({*names}) == len(names)


def find_strides(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield what multiplies or divides a size by a stride, and strides that have a name."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.BinOp(left=one, op=operation, right=other)
                | ast.AugAssign(target=one, op=operation, value=other)
            ):
                scales = isinstance(operation, ast.Mult | ast.Div | ast.FloorDiv | ast.Mod)
                pairs = ((one, other), (other, one))
                if scales and any(is_stride(a) and is_size(b) for a, b in pairs):
                    yield node, ast.unparse(node)
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                if re.search(r"(scale|stride|step|multiple)$", name.lower()) and is_stride(value):
                    yield node, ast.unparse(node)


def is_stride(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value in STRIDES


def is_size(node: ast.expr) -> bool:
    names = (
        getattr(part, "id", None) or getattr(part, "attr", None) or "" for part in ast.walk(node)
    )
    return any(SIZE.search(name.lower()) for name in names)
