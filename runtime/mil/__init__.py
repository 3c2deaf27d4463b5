"""Reader and interpreter of saved ML programs (``.mlpackage``), on any machine.

A small library of its own: :func:`load_program` turns a package into plain data, and
:class:`Interpreter` computes one of its functions. It needs coremltools for the format's protobuf
and PyTorch for the arithmetic, and nothing of either but that::

    program = load_program(Path("Model.mlpackage"))
    outputs = Interpreter(program.functions["main"]).run({"x": array})
"""

from .interpreter import Interpreter, WatchValue
from .package import load_program, model_file
from .program import Feature, Function, Operation, Program
from .residency import Residency, estimate_residency

__all__ = [
    "Feature",
    "Function",
    "Interpreter",
    "Operation",
    "Program",
    "Residency",
    "WatchValue",
    "estimate_residency",
    "load_program",
    "model_file",
]
