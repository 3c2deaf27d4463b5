"""TensorRT engines on an NVIDIA GPU, with TensorRT or TensorRT-RTX and CUDA's own bindings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tinysr.errors import MissingBackendError
from tinysr.facts import TensorRTFacts
from tinysr.manifest import Artifact
from tinysr.stages import StageName

from ..bundle import Bundle
from ..session import Array, Availability, Backend, Joined, Session
from ..tensorrt.chain import DeviceChain
from ..tensorrt.cuda import Cuda
from ..tensorrt.device import EXTRA, cuda_runtime, explain_no_gpu, find_gpu
from ..tensorrt.engine import explain_unfit, load_engine
from ..tensorrt.execution import Execution
from ..tensorrt.library import LIBRARIES
from ..tensorrt.refit import refit
from ..tensorrt.runtime_cache import find_cache

__all__ = ["TensorRTBackend", "TensorRTSession"]


class TensorRTBackend(Backend):
    """Runs engines, each with the library that built it."""

    name: ClassVar[str] = "tensorrt"
    target: ClassVar[str] = "tensorrt"

    def availability(self) -> Availability:
        """Say whether a library, the bindings and a GPU are here."""
        have = [f"{x.title} {x.version}" for x in LIBRARIES if x.installed]
        if not have:
            remedy = f"pip install 'tinysr[{EXTRA}]', or pip install tensorrt"
            return Availability(ready=False, detail="no TensorRT", remedy=remedy)
        detail = " and ".join(have)
        try:
            cuda_runtime()
        except MissingBackendError as error:
            return Availability(
                ready=False,
                detail=f"{detail}, no CUDA bindings",
                remedy=str(error).split(": ")[-1],
            )
        found = find_gpu()
        if found is None:
            return Availability(
                ready=False,
                detail=f"{detail}, {explain_no_gpu()}",
                remedy="install the NVIDIA driver on a machine with an NVIDIA GPU",
            )
        device = f"{found.name}, compute capability {found.capability}, CUDA {found.driver}"
        return Availability(ready=True, detail=f"{detail} on {device}")

    def explain_unfit(self, bundle: Bundle, artifact: Artifact) -> str:
        """Say whether the engine was built for another GPU or version."""
        return explain_unfit(artifact, bundle.folder / artifact.file.path)

    def open(self, bundle: Bundle, artifact: Artifact) -> TensorRTSession:
        """Load an engine, after its hashes were checked and it was found to fit.

        Raises:
            BundleError: a file is missing or changed, or the engine does not fit this machine.
            MissingBackendError: a library, a driver or a GPU is missing.
        """
        self.demand()
        engine = load_engine(artifact, bundle.path(artifact))
        if artifact.facts(TensorRTFacts).strip:
            refit(artifact, engine, bundle.folder)
        kernels = find_cache(artifact.file.sha256) if engine.library.flavor == "rtx" else None
        return TensorRTSession(Execution(artifact, engine, Cuda(cuda_runtime()), kernels))


class TensorRTSession(Session):
    """An engine in its execution context."""

    def __init__(self, execution: Execution) -> None:
        super().__init__(execution.artifact)
        self.execution = execution
        facts = execution.artifact.facts(TensorRTFacts)
        self.longest_side, self.largest_batch = facts.longest_side, facts.largest_batch

    def join(self, later: Mapping[StageName, Session]) -> Joined | None:
        """Return the stages of one tile as one, without a way through the host."""
        stages = [self.execution]
        for session in later.values():
            if not isinstance(session, TensorRTSession):
                return None
            stages.append(session.execution)
        return DeviceChain(self.execution.cuda, stages)

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        (array,), (out,) = feeds.values(), self.artifact.outputs
        return {out.name: self.execution.run(array)}

    def _close(self) -> None:
        self.execution.close()
