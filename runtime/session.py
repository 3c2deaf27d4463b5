"""Base classes of backends: ``open`` a graph, ``run`` it, ``close`` it.

A backend is one file in ``backends/``: a :class:`Backend` that says whether this machine can
run it and opens an artifact, and a :class:`Session` that runs it. The checks are here, once.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import MissingBackendError, UnsupportedError, choice_error
from tinysr.manifest import Artifact
from tinysr.stages import StageName

from .bundle import Bundle
from .exhaustion import MORE_ROOM, report_exhaustion
from .ports import check_feeds

__all__ = [
    "Array",
    "Availability",
    "Backend",
    "Joined",
    "RunOptions",
    "Session",
]

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """Options of running a backend. It refuses those that it does not offer."""

    provider: str | None = None
    """The device library inside the backend: one of ``Backend.providers``; None is the first."""
    threads: int | None = None
    """CPU threads of one session; None leaves it to the backend."""
    model: Any = None
    """A loaded model, or its path, for the eager backend."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Availability:
    """Answer of a backend: whether it works on this machine, and if not, what to do."""

    ready: bool
    detail: str
    """Versions and devices it would run on, or why it can't."""
    remedy: str = ""
    """The one thing to do, when it is not ready."""


class Joined(Protocol):
    """Stages of one tile that run as one, with values that stay on the device in between."""

    def run(self, image: Array) -> Array:
        """Map one tile ``[1, 3, T, T]`` to its result."""

    def close(self) -> None:
        """Free what it holds beside the sessions, which stay open."""


OnRun = Callable[[Mapping[str, Array], float], None]
"""Function that is called after a run with its feeds, not yet changed, and its seconds."""


class Session(ABC):
    """An open graph. Use it as a context manager, or call :meth:`close`."""

    longest_side: int | None = None
    """Longest side that an input may have where its size may vary; None if there is no limit."""
    largest_batch: int | None = None
    """Most images of a run where their number may vary; None if there is no limit."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.on_run: OnRun | None = None
        self._closed = False

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once.

        Args:
            feeds: one array per input, by name, with the artifact's dtype and shape.

        Returns:
            One array per output, by name.

        Raises:
            UnsupportedError: a feed is missing, unknown, or of another dtype or shape, or the
                session is closed.
            OutOfMemoryError: the library could not get what it needs.
        """
        if self._closed:
            raise UnsupportedError(f"{self.artifact.label}: this session is closed; open a new one")
        start = time.perf_counter()
        check_feeds(self.artifact, feeds)
        with report_exhaustion(self.artifact.label, MORE_ROOM):
            results = self._run(feeds)
        if self.on_run:
            self.on_run(feeds, time.perf_counter() - start)
        return results

    def join(self, later: Mapping[StageName, Session]) -> Joined | None:
        """Return this first stage and the later ones as one; None if they can only run one by one.

        Whoever asks for it closes it, before the sessions.

        Args:
            later: all others, in their order.
        """
        return None

    @abstractmethod
    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]: ...

    def close(self) -> None:
        """Free what the session holds; running it again is an error."""
        if not self._closed:
            self._closed = True
            self._close()

    def _close(self) -> None:  # noqa: B027  most sessions have nothing to free
        """Free what the session holds; called once."""

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
    providers: ClassVar[tuple[str, ...]] = ()
    """The device libraries it can run on, its own default first; empty if there is no choice."""
    reference: ClassVar[bool] = False
    """True for what artifacts are held against: it needs no verdict, and `auto` never takes it."""

    def __init__(self, options: RunOptions | None = None) -> None:
        self.options = options or RunOptions()
        provider = self.options.provider
        if provider is not None and provider not in self.providers:
            raise choice_error(
                f"provider of the backend {self.name}", provider, self.providers or ["none at all"]
            )
        if self.options.model is not None and not self.reference:
            raise UnsupportedError(
                f"the backend {self.name} runs the bundle's artifacts: "
                "a model of your own needs the backend eager"
            )

    @property
    def provider(self) -> str:
        """The provider it runs on; empty if there is no choice."""
        return self.options.provider or next(iter(self.providers), "")

    def precisions(self, bundle: Bundle, stages: tuple[StageName, ...]) -> tuple[str, ...]:
        """Return the precisions in which the bundle has all of these stages, in its order."""
        found = bundle.artifacts(self.target)
        have = {(a.stage, a.precision) for a in found}
        names = dict.fromkeys(a.precision for a in found)
        return tuple(p for p in names if all((stage, p) in have for stage in stages))

    def artifact(self, bundle: Bundle, stage: StageName, precision: str) -> Artifact:
        """Return the artifact it would open for a stage.

        Raises:
            BundleError: the bundle has none such.
        """
        return bundle.artifact(self.target, stage, precision)

    @abstractmethod
    def availability(self) -> Availability:
        """Say whether this machine can run it; :meth:`status` is what to call."""

    def status(self) -> Availability:
        """Say whether this machine can run it, whatever its libraries do when they are asked."""
        try:
            return self.availability()
        except (Exception, SystemExit) as error:
            words = " ".join(str(error).split())[:200]
            return Availability(
                ready=False,
                detail=f"the check of it failed: {type(error).__name__}: {words}",
                remedy=f"repair what {self.name} needs, or choose another backend",
            )

    def demand(self) -> None:
        """Refuse to go on where this machine can't run it.

        Raises:
            MissingBackendError: with the one thing to do.
        """
        found = self.status()
        if not found.ready:
            where = f" on {self.provider}" if self.provider else ""
            raise MissingBackendError(
                f"the backend {self.name} can't run{where} here ({found.detail}): {found.remedy}"
            )

    def explain_unfit(self, bundle: Bundle, artifact: Artifact) -> str:
        """Return why an artifact does not run on this machine, where the backend does; or ""."""
        return ""

    def caveat(self) -> str:
        """Return what a measurement on it does not say, for verdicts; or ""."""
        return ""

    @abstractmethod
    def open(self, bundle: Bundle, artifact: Artifact) -> Session:
        """Open one artifact of a bundle, after its hashes were checked.

        Raises:
            BundleError: a file is missing or not the one the manifest describes.
            MissingBackendError: this machine lacks what the backend needs.
        """
