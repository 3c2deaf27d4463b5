"""Operations that a bf16 run of an intermediate representation still computes in f32.

Latents of flat images are small differences of large values: in bf16 the encoder leaves 20 dB of
them. It is two hundredths of the work, so all of it stays wide.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final
from xml.etree.ElementTree import Element, ElementTree, SubElement

from ..onnx.graph import stage_output

__all__ = ["KEPT", "keep_wide"]

KEPT: Final = "encoder"
"""The module whose operations, and all that they depend on, are kept in f32."""

_NO_OPERATIONS = ("Const", "Parameter", "Result")

_ATTRIBUTE = {"name": "precise", "version": "0"}
"""OpenVINO's mark on an operation that must not be computed in a narrower type."""


def keep_wide(graph: ElementTree[Element]) -> int:
    """Mark the encoder's operations in a graph; a run in f32 is not changed by it.

    Returns:
        How many were marked; none in graphs that have no encoder.
    """
    layers = {layer.attrib["id"]: layer for layer in graph.iterfind("layers/layer")}
    wide = _find_upstream(graph, {key for key, layer in layers.items() if _is_kept(layer)})
    marked = [layers[key] for key in wide if layers[key].attrib["type"] not in _NO_OPERATIONS]
    for layer in marked:
        SubElement(_notes(layer), "attribute", _ATTRIBUTE)
    return len(marked)


def _is_kept(layer: Element) -> bool:
    """Say whether one of a layer's results is the encoder's, or named after a module in it."""
    names = (port.get("names", "") for port in layer.iterfind("output/port"))
    return any(
        name == stage_output(KEPT) or name.startswith((f"{KEPT}.", f"{KEPT}/"))
        for text in names
        for name in text.split(",")
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
