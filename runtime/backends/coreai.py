"""Core AI assets: on Linux by the reference interpreter that comes with Core AI, for their numbers.

Core AI's runtime is asynchronous. A session has a thread of its own with an event loop in it, so
that it also runs where another loop does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinysr import paths
from tinysr.errors import BundleError, require
from tinysr.facts import CoreAIFacts
from tinysr.manifest import Artifact

from ..bundle import Bundle
from ..session import Array, Availability, Backend, Session

__all__ = ["CoreAIBackend", "CoreAISession"]

EXTRA = "coreai"

REFERENCE = "reference interpreter, not the Neural Engine"

_FAILURES = (RuntimeError, ValueError, KeyError, OSError, TypeError)


class CoreAIBackend(Backend):
    """Runs ``.aimodel`` assets."""

    name: ClassVar[str] = "coreai"
    target: ClassVar[str] = "coreai"

    def availability(self) -> Availability:
        """Say whether Core AI is installed, and what would compute."""
        if find_spec("coreai") is None:
            return Availability(
                ready=False, detail="no coreai", remedy=f"pip install 'tinysr[{EXTRA}]'"
            )
        what = "Core AI" if sys.platform == "darwin" else "Core AI's reference interpreter"
        return Availability(ready=True, detail=f"{what}; coreai-core {version('coreai-core')}")

    def caveat(self) -> str:
        """Say so where the interpreter computes."""
        return "" if sys.platform == "darwin" else REFERENCE

    def open(self, bundle: Bundle, artifact: Artifact) -> CoreAISession:
        """Open a function of an asset, after the hashes of its files were checked.

        Raises:
            BundleError: a file is missing or changed, or is not an asset as the manifest says.
            MissingBackendError: Core AI is not here.
        """
        self.demand()
        file = bundle.path(artifact)
        asset = next((p for p in file.parents if p.suffix == ".aimodel"), None)
        if asset is None:
            raise BundleError(f"{artifact.label}: expected a file of an .aimodel, found {file}")
        if not paths.is_text(asset):  # Core AI would end the process
            raise BundleError(
                f"{artifact.label}: {asset}: expected a path in UTF-8, as Core AI takes no other: "
                "rename the folder"
            )
        return CoreAISession(artifact, asset)


class CoreAISession(Session):
    """A function of an asset, on a loop of its own."""

    def __init__(self, artifact: Artifact, asset: Path) -> None:
        super().__init__(artifact)
        self._thread = ThreadPoolExecutor(1, "coreai")
        self._loop = asyncio.new_event_loop()
        self._opened: Any = None
        name = artifact.facts(CoreAIFacts).function
        try:
            self._function = self._wait(self._open(asset, name))
        except _FAILURES as error:
            self.close()
            raise BundleError(
                f"{artifact.label}: Core AI can't open it: {_words(error)}"
            ) from error
        except BaseException:
            self.close()
            raise

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        wrap = require("coreai.runtime", extra=EXTRA).NDArray
        given = {name: wrap(np.ascontiguousarray(array)) for name, array in feeds.items()}
        try:
            found = self._wait(self._call(given))
            return {p.name: np.array(found[p.name].numpy(), p.dtype) for p in self.artifact.outputs}
        except _FAILURES as error:
            raise BundleError(
                f"{self.artifact.label}: Core AI failed on it: {_words(error)}"
            ) from error

    def _close(self) -> None:
        self._function = None
        opened, self._opened = self._opened, None
        try:
            if opened is not None:
                self._wait(opened.__aexit__(None, None, None))
        except _FAILURES as error:
            raise BundleError(
                f"{self.artifact.label}: Core AI failed to close it: {_words(error)}"
            ) from error
        finally:
            self._thread.submit(self._loop.close).result()
            self._thread.shutdown()

    async def _open(self, asset: Path, name: str) -> Any:
        authoring = require("coreai.authoring", extra=EXTRA)
        opened = authoring.AIModelAsset.load(asset).executable()
        model = await opened.__aenter__()
        self._opened = opened
        return model.load_function(name)

    async def _call(self, given: Mapping[str, Any]) -> Any:
        return await self._function(given)

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._thread.submit(self._loop.run_until_complete, work).result()


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
