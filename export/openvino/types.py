"""Operations that a bf16 run of an intermediate representation still computes in f32.

A chain says which of its stages keep to f32, and why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from xml.etree.ElementTree import Element, ElementTree, SubElement

from tinysr.chain import Chain
from tinysr.stages import Stage

__all__ = ["keep_wide", "list_kept"]

_NO_OPERATIONS = ("Const", "Parameter", "Result")

_ATTRIBUTE = {"name": "precise", "version": "0"}
"""OpenVINO's mark on an operation that must not be computed in a narrower type."""


def list_kept(chain: Chain) -> tuple[Stage, ...]:
    """Return the stages that compute in f32 whatever the precision."""
    return tuple(stage for stage in chain.stages if stage.keep_fp32)


def keep_wide(graph: ElementTree[Element], kept: Sequence[Stage]) -> int:
    """Mark the operations of stages, and all that they depend on; a run in f32 stays as it is.

    Returns:
        How many were marked; none in graphs that have none of these stages.
    """
    layers = {layer.attrib["id"]: layer for layer in graph.iterfind("layers/layer")}
    own = {key for key, layer in layers.items() if _is_kept(layer, kept)}
    wide = _find_upstream(graph, own)
    marked = [layers[key] for key in wide if layers[key].attrib["type"] not in _NO_OPERATIONS]
    for layer in marked:
        SubElement(_notes(layer), "attribute", _ATTRIBUTE)
    return len(marked)


def _is_kept(layer: Element, kept: Sequence[Stage]) -> bool:
    """Say whether one of a layer's results is a kept stage's, or named after a module in it."""
    names = {
        name for port in layer.iterfind("output/port") for name in port.get("names", "").split(",")
    }
    return any(
        name == stage.gives or name.startswith((f"{stage.name}.", f"{stage.name}/"))
        for name in names
        for stage in kept
    )


def _find_upstream(graph: ElementTree[Element], found: set[str]) -> set[str]:
    """Return layers with all that they depend on."""
    sources = defaultdict(set)
    for edge in graph.iterfind("edges/edge"):
        sources[edge.attrib["to-layer"]].add(edge.attrib["from-layer"])
    waiting = list(found)
    while waiting:
        new = sources[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def _notes(layer: Element) -> Element:
    """Return where a layer's attributes for the runtime stand: after its data, before its ports."""
    notes = layer.find("rt_info")
    if notes is None:
        notes = Element("rt_info")
        layer.insert(0 if layer.find("data") is None else 1, notes)
    return notes
