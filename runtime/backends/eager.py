"""The eager PyTorch model behind a backend's verbs: the reference that artifacts are held against.

It reads no artifact. It computes each stage with the model itself, in the bundle's latent units,
so that any stage of any backend can be compared with it, or replaced by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import numpy as np

from tinysr.chain import Chain
from tinysr.errors import BundleError, MissingBackendError, UnsupportedError, require
from tinysr.manifest import Artifact, FileEntry, Port
from tinysr.stages import WHOLE, StageName

from ..bundle import Bundle
from ..session import Array, Availability, Backend, RunOptions, Session

__all__ = ["EagerBackend", "EagerModel", "EagerSession"]

_EXTRA = "models"


class EagerModel(Protocol):
    """Interface of a model: the stages of :class:`tinysr.models.OneStepModel`, on tensors."""

    def run_stage(self, stage: str, x: Any) -> Any: ...  # noqa: D102


class EagerBackend(Backend):
    """Runs the eager model in fp32, on the CPU."""

    name: ClassVar[str] = "eager"
    target: ClassVar[str] = "eager"
    reference: ClassVar[bool] = True

    def __init__(self, options: RunOptions | None = None) -> None:
        super().__init__(options)
        self._loaded: dict[str, EagerModel] = {}

    def availability(self) -> Availability:
        """Say whether PyTorch is installed."""
        try:
            torch = require("torch", extra=_EXTRA)
        except MissingBackendError as error:
            return Availability(ready=False, detail="no PyTorch", remedy=str(error).split(": ")[-1])
        return Availability(ready=True, detail=f"torch {torch.__version__}, fp32, the reference")

    def precisions(self, bundle: Bundle, stages: tuple[StageName, ...]) -> tuple[str, ...]:
        """Return fp32, whatever the bundle has."""
        return ("fp32",)

    def artifact(self, bundle: Bundle, stage: StageName, precision: str) -> Artifact:
        """Describe a stage of the model as if it were an artifact; there is no such file."""
        if precision != "fp32":
            raise BundleError(
                f"the backend eager computes in fp32: expected fp32, found {precision}"
            )
        source, chain = bundle.manifest.source, bundle.manifest.chain
        into, out = (
            Port(name=field.name, dtype="float32", shape=("N", field.channels, "H", "W"))
            for field in chain.ends(stage)
        )
        return Artifact(
            target=self.target,
            stage=stage,
            precision=precision,
            file=FileEntry(path=f"eager/{stage}", sha256=source.sha256, size=0),
            inputs=(into,),
            outputs=(out,),
        )

    def open(self, bundle: Bundle, artifact: Artifact) -> EagerSession:
        """Open a stage; the artifact only says which.

        Raises:
            BundleError: the bundle was made from a checkpoint, and no ``model`` was given.
            MissingBackendError: PyTorch is not installed.
        """
        require("torch", extra=_EXTRA)
        return EagerSession(artifact, self._model(bundle), bundle.manifest.chain)

    def _model(self, bundle: Bundle) -> EagerModel:
        """Load the model once for all stages; a loaded one is taken as it is."""
        wanted = self.options.model
        if wanted is None:
            wanted = _preset(bundle)
        if not isinstance(wanted, str | Path):
            return cast("EagerModel", wanted)
        name = str(wanted)
        if name not in self._loaded:
            from tinysr import models  # noqa: PLC0415  torch waits until it is asked for

            loaded = models.load_source(bundle.manifest.source, name)
            self._loaded[name] = cast("EagerModel", loaded.model)
        return self._loaded[name]


class EagerSession(Session):
    """One stage of the eager model."""

    def __init__(self, artifact: Artifact, model: EagerModel, chain: Chain) -> None:
        super().__init__(artifact)
        self._model: EagerModel | None = model
        self._stages = chain.names if artifact.stage == WHOLE else (artifact.stage,)
        self._units = tuple(field.unit for field in chain.ends(artifact.stage))

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        import torch  # noqa: PLC0415

        (array,), (out,), model = feeds.values(), self.artifact.outputs, self._model
        if model is None:
            raise UnsupportedError(f"{self.artifact.label}: this session is closed")
        taken, given = self._units
        with torch.inference_mode():
            x: Any = torch.from_numpy(np.ascontiguousarray(array)) / taken
            for stage in self._stages:
                x = model.run_stage(stage, x)
            result = x * given
        return {out.name: np.ascontiguousarray(result.numpy())}

    def _close(self) -> None:
        self._model = None


def _preset(bundle: Bundle) -> str:
    source = bundle.manifest.source
    if source.kind != "preset":
        raise BundleError(
            f"{bundle.folder}: made from the checkpoint '{source.name}', which the backend eager "
            "has to load: expected its folder or a loaded model as `model`, found none"
        )
    return source.name
