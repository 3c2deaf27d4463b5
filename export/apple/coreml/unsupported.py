"""Errors for a model that can't be converted: the operation, its module, and the way out."""

from __future__ import annotations

import re
from typing import Any

from tinysr.errors import UnsupportedError

__all__ = ["explain_failure"]

_LACKING = re.compile(r"convert function for op '(?:aten::)?(\w+)' not implemented")
"""Words of coremltools' error for an operation that it can't convert."""

_WORKAROUNDS = {
    "upsample_bicubic2d": "a replicate pad, a fixed convolution and a pixel shuffle give the same "
    "(export/model/resize.py)",
    "_upsample_nearest_exact2d": "nearest gives the same for whole factors",
    "fft": "take the transform out of the graph",
    "complex": "write the rotation with real numbers: cos and sin apart",
}

_OTHERWISE = "rewrite the module with operations that Core ML has, in a pass of export/passes"


def explain_failure(traced: Any, function: str, error: Exception) -> UnsupportedError:
    """Return the error for a conversion that coremltools ended.

    Args:
        traced: the TorchScript trace.
        function: its name in the package.
        error: coremltools' own.
    """
    words = " ".join(str(error).split())
    kinds = {node.kind().split("::")[-1]: node for node in _nodes(traced)}
    said = _LACKING.search(words)
    kind = said.group(1) if said else ""
    if kind not in kinds:
        return UnsupportedError(f"coreml/{function}: coremltools can't convert it: {words[:300]}")
    way = next((text for name, text in _WORKAROUNDS.items() if name in kind), _OTHERWISE)
    return UnsupportedError(
        f"coreml/{function}: Core ML has no '{kind}', which the module '{_module(kinds[kind])}' "
        f"computes: {way}"
    )


def _nodes(traced: Any) -> list[Any]:
    return list(traced.inlined_graph.nodes())


def _module(node: Any) -> str:
    """Return the dotted path of the module that a node was traced from."""
    innermost = node.scopeName().split("/")[-1]
    return str(innermost.split("::")[-1].removeprefix("__module.") or "the whole model")
