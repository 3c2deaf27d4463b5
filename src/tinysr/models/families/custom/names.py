"""Names of nodes' modules: as PyTorch's modules were named, where the file still tells."""

from __future__ import annotations

import re

from torch import nn

from .read_onnx import OnnxNode

__all__ = ["choose_name"]

_LONGEST = 80

_WEIGHTS = (".weight", ".bias")


def choose_name(node: OnnxNode, taken: set[str]) -> str:
    """Return a name for a node's module that no other has, and add it to those that are taken.

    A weight's name tells the module that it was in, `body.0.conv.weight`; without one, the node's
    own name tells something.
    """
    weights = [
        re.split(r"/(?:with|bias of) ", name)[0].removesuffix(end)
        for name in node.inputs[1:]
        for end in _WEIGHTS
        if re.split(r"/(?:with|bias of) ", name)[0].endswith(end)
    ]
    stem = weights[0] if weights and node.operator != "Add" else node.name
    name = re.sub(r"[^0-9A-Za-z_]+", "_", stem).strip("_")[-_LONGEST:]
    if not name or name[0].isdigit() or hasattr(nn.Module(), name) or name in ("steps", "ends"):
        name = f"{re.sub('[^0-9A-Za-z]+', '_', node.operator).lower()}_{name}".rstrip("_")
    count, free = 1, name
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    taken.add(free)
    return free
