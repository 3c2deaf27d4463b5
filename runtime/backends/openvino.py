"""OpenVINO, on the CPU: in f32, and in bf16 where the CPU multiplies it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tinysr.errors import BundleError, MissingBackendError, require
from tinysr.facts import OpenVinoFacts
from tinysr.manifest import Artifact

from ..bundle import Bundle
from ..openvino_cpu import DEVICE, EXTRA, compiles_in, multiplies_bytes
from ..ports import check_ports
from ..session import Array, Availability, Backend, Session

__all__ = ["FixedShapesSession", "OpenVinoBackend", "OpenVinoSession"]

_CAPABILITIES = {"f32": "FP32", "bf16": "BF16"}
"""Types that artifacts are computed in, as OpenVINO calls what a device can do."""

_DTYPES = {"f32": "float32", "f16": "float16"}

_FIXED = frozenset({"int8"})
"""Precisions in which OpenVINO 2026.4 computes convolutions of open sides wrongly: 20 dB where
fixed sides give what ONNX Runtime does."""

_KEPT_SIZES = 4
"""Sizes that stay compiled: windows of one image have two or three."""


class OpenVinoBackend(Backend):
    """Runs intermediate representations, in the type that the artifact names and no other."""

    name: ClassVar[str] = "openvino"
    target: ClassVar[str] = "openvino"

    def availability(self) -> Availability:
        """Say whether OpenVINO is installed, on which CPU, and in which types it computes."""
        try:
            ov: Any = require("openvino", extra=EXTRA)
        except MissingBackendError as error:
            return Availability(
                ready=False, detail="not installed", remedy=str(error).split(": ")[-1]
            )
        types = ", ".join(name for name in _CAPABILITIES if self._computes(name))
        version = ov.__version__.split("-")[0]
        return Availability(ready=True, detail=f"openvino {version} on the CPU in {types}")

    def explain_unfit(self, bundle: Bundle, artifact: Artifact) -> str:
        """Say why not, when this CPU does not compute in the artifact's types."""
        wanted = _inference_type(artifact)
        if not self._computes(wanted):
            return f"this CPU does not compute in {wanted}: choose the precision fp32"
        if artifact.precision == "int8" and not multiplies_bytes():
            return (
                "OpenVINO's sums of products of bytes overflow on this CPU, which has no VNNI: "
                "choose the precision fp32"
            )
        return ""

    def open(self, bundle: Bundle, artifact: Artifact) -> OpenVinoSession:
        """Open a graph, with its weights, after their hashes were checked.

        Raises:
            BundleError: a file is missing, changed, or no graph as the manifest describes.
            MissingBackendError: OpenVINO is not here, or this CPU lacks the artifact's type.
        """
        self.demand()
        if reason := self.explain_unfit(bundle, artifact):
            raise MissingBackendError(f"{artifact.label}: {reason}")
        path = bundle.path(artifact)
        if len(artifact.data) != 1:
            raise BundleError(f"{artifact.label}: expected one file of weights")
        try:
            graph, weights = str(path), str(bundle.folder / artifact.data[0].path)
            compile_, model = self._compiler(graph, weights, artifact)
            _check_graph(artifact, model)
            if artifact.precision in _FIXED and any("?" in shape for shape in _shapes(model)):
                return FixedShapesSession(artifact, compile_, model)
            return OpenVinoSession(artifact, compile_(model))
        except RuntimeError as error:
            raise BundleError(
                f"{artifact.label}: {path}: OpenVINO can't open it ({_last_line(error)}); "
                "export the bundle again"
            ) from error

    def _compiler(
        self, graph: str, weights: str, artifact: Artifact
    ) -> tuple[Callable[[Any], Any], Any]:
        """Return what compiles a graph, and the graph."""
        ov: Any = require("openvino", extra=EXTRA)
        wanted = _inference_type(artifact)
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": wanted,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if self.options.threads is not None:
            settings["INFERENCE_NUM_THREADS"] = self.options.threads
        core = ov.Core()

        def compile_graph(model: Any) -> Any:
            made = core.compile_model(model, DEVICE, settings)
            found = made.get_property("INFERENCE_PRECISION_HINT").get_type_name()
            if found != wanted:  # a hint is only a hint
                raise MissingBackendError(
                    f"{artifact.label}: OpenVINO computes it in {found}, expected {wanted}: "
                    "choose another precision"
                )
            return made

        return compile_graph, core.read_model(graph, weights)

    def _computes(self, name: str) -> bool:
        ov: Any = require("openvino", extra=EXTRA)
        can = ov.Core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
        return _CAPABILITIES[name] in can and (name == "f32" or compiles_in(name))


class OpenVinoSession(Session):
    """An open graph."""

    def __init__(self, artifact: Artifact, compiled: Any) -> None:
        super().__init__(artifact)
        self._request = compiled.create_infer_request()
        self._outputs = [port.name for port in artifact.outputs]

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        try:
            results = self._request_for(feeds).infer(dict(feeds), share_inputs=True)
        except RuntimeError as error:
            raise BundleError(
                f"{self.artifact.label}: OpenVINO failed on it ({_last_line(error)})"
            ) from error
        return {name: results[name] for name in self._outputs}

    def _request_for(self, feeds: Mapping[str, Array]) -> Any:
        return self._request

    def _close(self) -> None:
        self._request = None


class FixedShapesSession(OpenVinoSession):
    """A graph of open sides that is compiled anew for each size of its input."""

    def __init__(self, artifact: Artifact, compile_: Callable[[Any], Any], model: Any) -> None:
        Session.__init__(self, artifact)
        self._compile, self._model = compile_, model
        self._requests: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._outputs = [port.name for port in artifact.outputs]

    @property
    def compiled_sizes(self) -> list[tuple[int, ...]]:
        """Shapes that can be run at once, the one used last at the end."""
        return list(self._requests)

    def _request_for(self, feeds: Mapping[str, Array]) -> Any:
        (fed,) = feeds.values()
        if fed.shape not in self._requests:
            model = self._model.clone()
            model.reshape(list(fed.shape))
            self._requests[fed.shape] = self._compile(model).create_infer_request()
            if len(self._requests) > _KEPT_SIZES:
                self._requests.popitem(last=False)
        self._requests.move_to_end(fed.shape)
        return self._requests[fed.shape]

    def _close(self) -> None:
        self._requests.clear()
        self._model = None


def _inference_type(artifact: Artifact) -> str:
    found = artifact.facts(OpenVinoFacts).inference_precision
    if found not in _CAPABILITIES:
        raise BundleError(
            f"{artifact.label}: expected an inference_precision of {' or '.join(_CAPABILITIES)}, "
            f"found {found!r}"
        )
    return found


def _check_graph(artifact: Artifact, model: Any) -> None:
    wanted = {port.name for port in (*artifact.inputs, *artifact.outputs)}
    types = [
        _DTYPES.get(port.get_element_type().get_type_name(), "another type")
        for port in _ports(model)
    ]
    names = [_name(port, wanted) for port in _ports(model)]
    found = zip(types, _shapes(model), strict=True)
    check_ports(artifact, dict(zip(names, found, strict=True)))


def _ports(model: Any) -> list[Any]:
    return [*model.inputs, *model.outputs]


def _shapes(model: Any) -> list[tuple[int | str, ...]]:
    """Return the ports' shapes; a side that is open is a question mark."""
    return [
        tuple(side.get_length() if side.is_static else "?" for side in port.get_partial_shape())
        for port in _ports(model)
    ]


def _name(port: Any, wanted: set[str]) -> str:
    """Return the name of a port that is looked for, when it is one of its names."""
    names: set[str] = port.get_names()
    return min(names & wanted or names, default="")


def _last_line(error: Exception) -> str:
    """Return OpenVINO's own words: the lines before say where in its sources they were said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
