"""Conversion of traced programs to Core AI's operations, attention and norms by our own bodies."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch._decomp import get_decompositions

from tinysr.errors import UnsupportedError, require

from .attention import join_attention
from .composites import register_composites

__all__ = ["EXTRA", "add_function", "make_converter"]

EXTRA = "coreai"

_aten = torch.ops.aten

_LACKING = (_aten.elu,)
"""Operations that Core AI's tools have not, and PyTorch knows the parts of."""

_WORDS = re.compile(r"unsupported ATen ops: (.+?)\. ")
"""Words of their error for all others."""


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

    Raises:
        UnsupportedError: it has operations that Core AI has not.
    """
    join_attention(program)
    table = require("coreai_torch", extra=EXTRA).get_decomp_table()
    table.update(get_decompositions(_LACKING))
    program = program.run_decompositions(table)
    names = {"input_names": [reads], "output_names": [gives], "entrypoint_name": name}
    try:
        converter.add_exported_program(program, **names)
    except ValueError as error:
        lacking = _WORDS.search(" ".join(str(error).split()))
        if lacking is None:
            raise
        raise UnsupportedError(
            f"coreai/{name}: Core AI has no {lacking.group(1)}: leave coreai out, or write the "
            "network with other operations"
        ) from error
