"""The formats that a model can be exported to, in the order in which they are built."""

from __future__ import annotations

from collections.abc import Iterable

from tinysr.errors import choices

from .apple.coreai.target import COREAI
from .apple.coreml.target import COREML
from .onnx.target import ONNX
from .openvino.target import OPENVINO
from .target import Target
from .tensorrt.target import TENSORRT

__all__ = ["TARGETS", "targets_for"]

TARGETS: tuple[Target, ...] = (
    ONNX,  # first: others are made from its graphs
    TENSORRT,
    COREML,
    COREAI,
    OPENVINO,
)


def targets_for(names: Iterable[str]) -> tuple[Target, ...]:
    """Return targets by their names, with the targets that they need, in the order to build them.

    Raises:
        UnsupportedError: this version can't export to one of them.
    """
    known = {target.name: target for target in TARGETS}
    wanted: set[str] = set()
    for name in names:
        if name not in known:
            raise choices("target", name, known)
        wanted |= {name, *known[name].needs}
    return tuple(target for target in TARGETS if target.name in wanted)
