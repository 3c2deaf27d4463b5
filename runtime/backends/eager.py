"""The eager PyTorch model behind a backend's verbs: the reference that artifacts are held against.

It reads no artifact. It computes each stage with the model itself, in the bundle's latent units,
so that any stage of any backend can be compared with it, or replaced by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import numpy as np

from tinysr.errors import BundleError, MissingBackendError, require
from tinysr.manifest import Artifact, FileEntry, Port, Stage

from ..bundle import Bundle
from ..session import Array, Availability, Backend, RunOptions, Session

__all__ = ["EagerBackend", "EagerModel", "EagerSession"]

_EXTRA = "models"

_IMAGE = ("N", 3, "H", "W")
_PORTS: dict[Stage, tuple[tuple[str, tuple[int | str, ...]], tuple[str, tuple[int | str, ...]]]] = {
    "encoder": (("image", _IMAGE), ("latents", ("N", "C", "h", "w"))),
    "transformer": (("latents", ("N", "C", "h", "w")), ("velocity", ("N", "C", "h", "w"))),
    "decoder": (("latents", ("N", "C", "h", "w")), ("upscaled", _IMAGE)),
    "upscale": (("image", _IMAGE), ("upscaled", _IMAGE)),
}


class EagerModel(Protocol):
    """Interface of a model: the three stages of :class:`tinysr.models.TinySR`, on tensors."""

    def encode(self, lr: Any) -> Any: ...  # noqa: D102
    def predict(self, z: Any) -> Any: ...  # noqa: D102
    def decode(self, z: Any) -> Any: ...  # noqa: D102


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

    def precisions(self, bundle: Bundle, stages: tuple[Stage, ...]) -> tuple[str, ...]:
        """Return fp32, whatever the bundle has."""
        return ("fp32",)

    def artifact(self, bundle: Bundle, stage: Stage, precision: str) -> Artifact:
        """Describe a stage of the model as if it were an artifact; there is no such file."""
        if precision != "fp32":
            raise BundleError(
                f"the backend eager computes in fp32: expected fp32, found {precision}"
            )
        source, (into, out) = bundle.manifest.source, _PORTS[stage]
        return Artifact(
            target=self.target,
            stage=stage,
            precision=precision,
            file=FileEntry(path=f"eager/{stage}", sha256=source.sha256, size=0),
            inputs=(Port(name=into[0], dtype="float32", shape=into[1]),),
            outputs=(Port(name=out[0], dtype="float32", shape=out[1]),),
        )

    def open(self, bundle: Bundle, artifact: Artifact) -> EagerSession:
        """Open a stage; the artifact only says which.

        Raises:
            BundleError: the bundle was made from a checkpoint, and no ``model`` was given.
            MissingBackendError: PyTorch is not installed.
        """
        require("torch", extra=_EXTRA)
        return EagerSession(artifact, self._model(bundle), bundle.manifest.latent_scale)

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

    def __init__(self, artifact: Artifact, model: EagerModel, latent_scale: float) -> None:
        super().__init__(artifact)
        self._stages = {
            "encoder": lambda x: model.encode(x) * latent_scale,
            "transformer": lambda x: model.predict(x / latent_scale) * latent_scale,
            "decoder": lambda x: model.decode(x / latent_scale),
            "upscale": lambda x: _upscale(model, x),
        }

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        import torch  # noqa: PLC0415

        (array,) = feeds.values()
        (out,) = self.artifact.outputs
        with torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(array))
            result = self._stages[self.artifact.stage](tensor)
        return {out.name: np.ascontiguousarray(result.numpy())}

    def _close(self) -> None:
        self._stages = {}


def _upscale(model: EagerModel, lr: Any) -> Any:
    z = model.encode(lr)
    return model.decode(z - model.predict(z))


def _preset(bundle: Bundle) -> str:
    source = bundle.manifest.source
    if source.kind != "preset":
        raise BundleError(
            f"{bundle.folder}: made from the checkpoint '{source.name}', which the backend eager "
            "has to load: expected its folder or a loaded model as `model`, found none"
        )
    return source.name
