"""The formats that a model can be exported to, in the order in which they are built."""

from __future__ import annotations

from collections.abc import Iterable

from tinysr.errors import choice_error

from .apple.coreai.target import COREAI
from .apple.coreml.target import COREML
from .onnx.target import ONNX
from .openvino.target import OPENVINO
from .target import Target
from .tensorrt.target import TENSORRT

__all__ = ["TARGETS", "find_targets"]

TARGETS: tuple[Target, ...] = (
    ONNX,  # first: others are made from its graphs
    TENSORRT,
    COREML,
    COREAI,
    OPENVINO,
)


def find_targets(names: Iterable[str]) -> tuple[Target, ...]:
    """Return targets by their names, with the targets that they need, in the order to build them.

    Raises:
        UnsupportedError: this version can't export to one of them.
    """
    known = {target.name: target for target in TARGETS}
    wanted: set[str] = set()
    for name in names:
        if name not in known:
            raise choice_error("target", name, known)
        wanted |= {name, *known[name].needs}
    return tuple(target for target in TARGETS if target.name in wanted)
