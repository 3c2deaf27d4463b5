"""Types in which OpenVINO really computes on this CPU, found by asking it to."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from tinysr.errors import require

__all__ = ["DEVICE", "EXTRA", "compiles_in", "multiplies_bytes"]

DEVICE = "CPU"

EXTRA = "openvino"
"""The extra that installs OpenVINO."""


@cache  # it takes a part of a second, and the CPU stays what it is
def multiplies_bytes() -> bool:
    """Say whether OpenVINO's products in int8 come out right on this CPU.

    Without VNNI, neighbouring products of bytes are added up in 16 bits, which are too few.
    """
    size, largest = 64, np.float32(127 / 128)
    given = _operations().parameter([1, size], np.float32)
    weights = _operations().constant(np.full((size, size), largest))
    compiled = _compile_product(_round_to_bytes(given), _round_to_bytes(weights), given, "f32")
    (found,) = compiled([np.full((1, size), largest)]).values()
    expected = size * largest**2
    return bool(np.abs(found - expected).max() < expected / 100)


@cache
def compiles_in(name: str) -> bool:
    """Say whether OpenVINO compiles products in a type.

    What it says it can do counts what the CPU has, and not a cap on its kernels: with
    ONEDNN_MAX_CPU_ISA=AVX2 it says BF16, and fails.
    """
    given = _operations().parameter([1, 16], np.float32)
    weights = _operations().constant(np.ones((16, 16), np.float32))
    try:
        made = _compile_product(given, weights, given, name)
    except RuntimeError:
        return False
    return bool(made.get_property("INFERENCE_PRECISION_HINT").get_type_name() == name)


def _operations() -> Any:
    return require("openvino.opset13", extra=EXTRA)


def _compile_product(left: Any, right: Any, given: Any, name: str) -> Any:
    """Compile the product of two nodes, the right one transposed, in a type."""
    ov: Any = require("openvino", extra=EXTRA)
    model = ov.Model([_operations().matmul(left, right, False, True)], [given])
    return ov.Core().compile_model(model, DEVICE, {"INFERENCE_PRECISION_HINT": name})


def _round_to_bytes(node: Any) -> Any:
    """Round a node's values in [-1, 1] to signed bytes."""
    ops = _operations()
    low, high = (ops.constant(np.float32(end)) for end in (-1, 127 / 128))
    return ops.fake_quantize(node, low, high, low, high, 256)
