"""What every backend offers: ``open`` a graph, ``run`` it, ``close`` it.

A backend is one file in ``backends/``: a :class:`Backend` that says whether this machine can
run it and opens an artifact, and a :class:`Session` that runs it. The checks are here, once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import UnsupportedError
from tinysr.manifest import Artifact, Port

from .bundle import Bundle

__all__ = ["Array", "Availability", "Backend", "Session"]

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, slots=True)
class Availability:
    """Whether a backend works on this machine."""

    ready: bool
    detail: str
    """What it would run on: version and devices, or why it can't."""
    remedy: str = ""
    """The one thing to do, when it is not ready."""


class Session(ABC):
    """An open graph. Use it as a context manager, or call :meth:`close`."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once.

        Args:
            feeds: one array per input, by name, with the artifact's dtype and shape.

        Returns:
            One array per output, by name.

        Raises:
            UnsupportedError: a feed is missing, unknown, or of another dtype or shape.
        """
        _check(self.artifact, feeds)
        return self._run(feeds)

    @abstractmethod
    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]: ...

    def close(self) -> None:
        """Free what the session holds; running it again is an error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Backend(ABC):
    """One way to run artifacts of one target."""

    name: ClassVar[str]
    target: ClassVar[str]
    """The artifacts it opens: ``Artifact.target``."""

    @abstractmethod
    def availability(self) -> Availability:
        """Say whether this machine can run it, without raising."""

    @abstractmethod
    def open(self, bundle: Bundle, artifact: Artifact) -> Session:
        """Open one artifact of a bundle, after its hashes were checked.

        Raises:
            BundleError: a file is missing or not the one the manifest describes.
            MissingBackendError: this machine lacks what the backend needs.
        """


def _check(artifact: Artifact, feeds: Mapping[str, Array]) -> None:
    expected = {port.name: port for port in artifact.inputs}
    if feeds.keys() != expected.keys():
        raise UnsupportedError(
            f"{artifact.label}: expected the inputs {sorted(expected)}, found {sorted(feeds)}"
        )
    for name, port in expected.items():
        array = feeds[name]
        if array.dtype != port.dtype or not _fits(array.shape, port):
            raise UnsupportedError(
                f"{artifact.label}: expected '{name}' as {port.dtype} {list(port.shape)}, "
                f"found {array.dtype} {list(array.shape)}"
            )


def _fits(shape: tuple[int, ...], port: Port) -> bool:
    return len(shape) == len(port.shape) and all(
        isinstance(want, str) or want == have for want, have in zip(port.shape, shape, strict=True)
    )
