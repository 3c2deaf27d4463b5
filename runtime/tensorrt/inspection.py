"""Layers of an engine, as the engine describes them, where a GPU can load it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .engine import Engine

__all__ = ["layer_types"]

_NAMES = {"Float": "fp32", "Half": "fp16", "BFloat16": "bf16", "Int8": "int8", "FP8": "fp8"}

_KEYS = ("Format/Datatype", "Datatype", "Data Type")
"""Keys under which versions give a tensor's type; the words behind one begin with the type."""


def layer_types(engine: Engine) -> dict[str, int]:
    """Return how many layers give which type, by TensorRT's inspector.

    Layers are those after fusion, so there are fewer than the network had. Layers whose type the
    inspector does not tell count as ``unknown``.
    """
    inspector = engine.engine.create_engine_inspector()
    form = engine.module.LayerInformationFormat.JSON
    layers = json.loads(inspector.get_engine_information(form)).get("Layers", [])
    return dict(sorted(Counter(_type(layer) for layer in layers).items()))


def _type(layer: Any) -> str:
    outputs = layer.get("Outputs", []) if isinstance(layer, dict) else []
    return next(_find_types(outputs), "unknown")


def _find_types(outputs: list[dict[str, Any]]) -> Iterator[str]:
    for output in outputs:
        for key in _KEYS:
            words = str(output.get(key, ""))
            for name, short in _NAMES.items():
                if words.startswith(name) or f" {name}" in words:
                    yield short
