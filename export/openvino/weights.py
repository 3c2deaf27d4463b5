"""One file of weights for several intermediate representations.

OpenVINO writes a file of weights beside each graph, in which the graph says where each constant
lies. The whole model's graph has the constants of its stages, so that one file serves all of them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from xml.etree.ElementTree import Element, ElementTree

__all__ = ["SharedWeights"]

_ALIGNMENT = 64
"""Bytes: constants are mapped into memory and read as vectors."""


class SharedWeights:
    """A file of constants, each of them once. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[bytes, int] = {}
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        self._file = self.path.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def adopt(self, graph: ElementTree[Element], own: Path) -> None:
        """Move a graph's constants into this file.

        Args:
            graph: its offsets are rewritten.
            own: the ``.bin`` that was written with it.
        """
        with own.open("rb") as file:
            for data in graph.iterfind("layers/layer[@type='Const']/data"):
                file.seek(int(data.attrib["offset"]))
                constant = file.read(int(data.attrib["size"]))
                data.set("offset", str(self._place(constant)))

    def _place(self, constant: bytes) -> int:
        """Return where a constant lies, after it was written if it is new."""
        assert self._file is not None  # noqa: S101  adopt is called inside the context
        digest = hashlib.sha256(constant).digest()
        if digest not in self._places:
            offset = -(-self._file.seek(0, os.SEEK_END) // _ALIGNMENT) * _ALIGNMENT
            self._file.seek(offset)
            self._file.write(constant)
            self._places[digest] = offset
        return self._places[digest]
