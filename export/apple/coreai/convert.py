"""Conversion of traced programs to Core AI's operations, attention and norms by our own bodies."""

from __future__ import annotations

from typing import Any

from tinysr.errors import require

from .attention import join_attention
from .composites import register_composites

__all__ = ["EXTRA", "add_function", "make_converter"]

EXTRA = "coreai"


def make_converter() -> Any:
    """Return a converter, which makes an asset of all functions that are added to it.

    Raises:
        MissingBackendError: Core AI's tools are not installed.
    """
    kind = require("coreai_torch", extra=EXTRA).TorchConverter
    converter = kind(mode=kind.Mode.RELEASE)
    register_composites(converter)
    return converter


def add_function(converter: Any, program: Any, *, name: str, reads: str, gives: str) -> None:
    """Add a function of one input and one output.

    Args:
        converter: from :func:`make_converter`.
        program: of ``torch.export``, its operations not decomposed yet; it is changed.
        name: of the function in the asset.
        reads: name of its input.
        gives: name of its output.
    """
    join_attention(program)
    table = require("coreai_torch", extra=EXTRA).get_decomp_table()
    converter.add_exported_program(
        program.run_decompositions(table),
        input_names=[reads],
        output_names=[gives],
        entrypoint_name=name,
    )
