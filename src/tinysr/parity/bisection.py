"""Bisect: name the first PyTorch module whose output departs inside a failing graph.

The exporter names the value that is a module's output after the module's dotted path. So every
value of a graph whose name is a path can be made an output of the graph, and be held against
that module, hooked, on the same input.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tinysr.errors import BundleError
from tinysr.stages import StageName

from .gates import departure
from .hooks import module_outputs, trace
from .probe import graph_values, run_probed
from .results import BisectResult, BisectRow

__all__ = ["bisect", "relative_error"]

Array = NDArray[np.floating[Any]]

_CHUNK_BYTES = 2**29
"""Most bytes of module outputs that are held at a time, on either side."""

_ROWS_BEFORE = 4
_ROWS_AFTER = 3


def bisect(
    graph: Path,
    baked: nn.Module,
    *,
    stage: StageName,
    precision: str,
    image: str,
    inputs: Array,
    label: str,
) -> BisectResult:
    """Compare a graph with the baked model, module by module, in the order they finish.

    The graph runs on ONNX Runtime's CPU provider with its optimisations off, so that what is
    compared is what the file says.

    Args:
        graph: the ONNX file, its weights beside it. It is not changed.
        baked: a model whose dotted paths the graph's values are named after.
        stage: which part of the model the graph is.
        precision: the graph's, which sets the threshold.
        image: the image's name, for the result.
        inputs: the graph's input without batch, in fp32, in the graph's units.
        label: the graph's name, for the result.

    Raises:
        BundleError: the graph can't be read or run, or none of its values is a module's.
    """
    threshold = departure(precision)
    module = baked if stage not in dict(baked.named_children()) else baked.get_submodule(stage)
    values, port = graph_values(graph)
    sizes, last = trace(baked, module, inputs)
    shared = {name: size for name, size in sizes.items() if name in values}
    if not shared:
        raise BundleError(
            f"{label}: no value of the graph is named after a module, so it can't be bisected; "
            "export the bundle again"
        )
    rows: list[BisectRow] = []
    for chunk in _chunks(shared):
        expected, final = module_outputs(baked, module, chunk, inputs)
        found = run_probed(graph, chunk, inputs)
        rows += [_row(name, found[name], expected[name], threshold) for name in chunk]
        if any(row.departs for row in rows):
            break
    else:
        # The graph's own output bears its port's name in place of a module's.
        rows.append(_row(last or port, found[port], final, threshold))
    return _result(rows, label=label, image=image, threshold=threshold)


def relative_error(found: Array, expected: Array) -> float | None:
    """Return max |found − expected| over max |expected|.

    None when it would mean nothing: the shapes differ, or a value is not finite. A reference
    that is zero throughout counts as 1.
    """
    if found.shape != expected.shape or not np.isfinite(found).all():
        return None
    worst = float(np.abs(found.astype(np.float64) - expected).max())
    return worst / (float(np.abs(expected).max()) or 1.0)


def _row(name: str, found: Array, expected: Array, threshold: float) -> BisectRow:
    error = relative_error(found, expected)
    return BisectRow(module=name, error=error, departs=error is None or error > threshold)


def _chunks(sizes: dict[str, int]) -> list[list[str]]:
    """Return the names in order, as many at a time as fit in memory."""
    chunks: list[list[str]] = [[]]
    total = 0
    for name, size in sizes.items():
        if chunks[-1] and total + size > _CHUNK_BYTES:
            chunks.append([])
            total = 0
        chunks[-1].append(name)
        total += size
    return chunks


def _result(rows: Sequence[BisectRow], *, label: str, image: str, threshold: float) -> BisectResult:
    place = next((i for i, row in enumerate(rows) if row.departs), None)
    middle = _find_steepest(rows) if place is None else place
    note = (
        ""
        if place is not None
        else (
            f"no module departs by {threshold:g} on ONNX Runtime's CPU: the graph is right and the "
            f"backend is not, or the error builds up; it rises most at '{rows[middle].module}'"
        )
    )
    return BisectResult(
        artifact=label,
        image=image,
        threshold=threshold,
        module=None if place is None else rows[place].module,
        rows=tuple(rows[max(0, middle - _ROWS_BEFORE) : middle + _ROWS_AFTER + 1]),
        compared=len(rows) if place is None else place + 1,
        note=note,
    )


def _find_steepest(rows: Sequence[BisectRow]) -> int:
    """Return the row at which the error rises by the largest factor."""
    floor = 1e-7  # below it, errors are fp32's own rounding
    errors = [floor, *(max(row.error or 0.0, floor) for row in rows)]
    return int(np.argmax([now / before for before, now in pairwise(errors)]))
