"""Attention as one operation, wherever a traced program has it in parts.

Models write it out, because other exporters turn the scale of the fused call into stray constants.
Apple's runtime has one operation for it, which never holds the scores of all tokens at once.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch.fx import Graph, Node

__all__ = ["join_attention"]

_aten = torch.ops.aten


def join_attention(program: Any) -> None:
    """Put ``scaled_dot_product_attention`` in the place of softmax(q·kᵀ)·v, in place.

    Queries, keys and values are of one type, ``[…, L, C]`` with one C; others stay as they are.

    Args:
        program: of ``torch.export``, its operations not decomposed yet.
    """
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        parts = _find_parts(node)
        if parts is not None:
            query, turned, value = parts
            with graph.inserting_before(node):
                key = _turn(graph, turned)
                joined = graph.call_function(
                    _aten.scaled_dot_product_attention.default, (query, key, value), {"scale": 1.0}
                )
            joined.meta["val"] = node.meta["val"]
            node.replace_all_uses_with(joined)
    graph.eliminate_dead_code()
    program.graph_module.recompile()


def _find_parts(node: Node) -> tuple[Node, Node, Node] | None:
    """Return q, kᵀ and v of the product that ends an attention; None for any other node."""
    if node.target is not _aten.matmul.default:
        return None
    weights, value = node.args
    if not (isinstance(weights, Node) and weights.target is _aten.softmax.int):
        return None
    scores, axis = weights.args[:2]
    if not (isinstance(scores, Node) and scores.target is _aten.matmul.default):
        return None
    query, turned = scores.args
    if not (isinstance(query, Node) and isinstance(turned, Node) and isinstance(value, Node)):
        return None
    q, k, v = (part.meta["val"] for part in (query, turned, value))
    ranks = {q.dim(), k.dim(), v.dim()}
    alike = q.dtype == k.dtype == v.dtype == node.meta["val"].dtype
    if not (alike and ranks in ({3}, {4}) and axis in (-1, q.dim() - 1)):
        return None
    return (query, turned, value) if q.shape[-1] == v.shape[-1] else None


def _turn(graph: Graph, turned: Node) -> Node:
    """Return a node with the last two dimensions swapped: in one step with a permutation before."""
    if turned.target is _aten.permute.default:
        x, dims = turned.args[0], cast("list[int]", turned.args[1])
        order = [*dims[:-2], dims[-1], dims[-2]]
        swapped = graph.call_function(_aten.permute.default, (x, order))
    else:
        swapped = graph.call_function(_aten.transpose.int, (turned, -2, -1))
    swapped.meta["val"] = turned.meta["val"].transpose(-2, -1)
    return swapped
