"""ONNX Runtime: on the CPU, or when asked for on NVIDIA: through CUDA, TensorRT or TensorRT-RTX."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np

from tinysr import paths
from tinysr.errors import BundleError, MissingBackendError
from tinysr.manifest import Artifact
from tinysr.quiet import load

from ..bundle import Bundle
from ..ports import check_ports
from ..session import Array, Availability, Backend, Session

__all__ = ["OnnxRuntimeBackend", "OnnxRuntimeSession"]

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rtx": "NvTensorRTRTXExecutionProvider",
}

_GPU_PACKAGE = "pip install onnxruntime-gpu (in place of onnxruntime)"

_REMEDIES = {
    "cpu": "pip install onnxruntime",
    "cuda": _GPU_PACKAGE,
    "tensorrt": _GPU_PACKAGE,
    "rtx": "install an ONNX Runtime that was built with the provider for TensorRT-RTX",
}

_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}

_AS_REQUESTED = 1
"""ONNX Runtime's way to extend an arena by what is asked for, not to the next power of two."""

_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
"""ONNX Runtime's setting: where a graph that comes as bytes finds the files it names."""

_NOWHERE = os.devnull  # no file lies below a device

_FATAL = 4
"""ONNX Runtime's log level: what it has to say reaches the user as our errors."""


class OnnxRuntimeBackend(Backend):
    """Runs ONNX graphs. What was asked for is what runs: no provider stands in for another."""

    name: ClassVar[str] = "onnxruntime"
    target: ClassVar[str] = "onnx"
    providers: ClassVar[tuple[str, ...]] = tuple(_PROVIDERS)

    def availability(self) -> Availability:
        """Say whether ONNX Runtime is installed and has the provider."""
        try:
            ort = _runtime()
        except MissingBackendError as error:
            return Availability(
                ready=False, detail="not installed", remedy=str(error).split(": ")[-1]
            )
        have = ", ".join(_list_provided(ort))
        detail = f"onnxruntime {ort.__version__} with {have}"
        if self.provider in _list_provided(ort):
            return Availability(ready=True, detail=detail)
        remedy = _REMEDIES[self.provider]
        return Availability(ready=False, detail=detail, remedy=remedy)

    def open(self, bundle: Bundle, artifact: Artifact) -> OnnxRuntimeSession:
        """Open a graph, with its weights, after their hashes were checked.

        Raises:
            BundleError: a file is missing, changed, or no graph as the manifest describes.
            MissingBackendError: ONNX Runtime or its provider is not here.
        """
        self.demand()
        path = bundle.path(artifact)
        try:
            session = self._create(_runtime(), bundle, artifact)
        except Exception as error:
            raise BundleError(
                f"{artifact.label}: {path}: ONNX Runtime can't open it ({_first_line(error)}); "
                "export the bundle again"
            ) from error
        self._check_provider(session)
        _check_graph(artifact, session)
        return OnnxRuntimeSession(artifact, session)

    def _create(self, ort: Any, bundle: Bundle, artifact: Artifact) -> Any:
        options = ort.SessionOptions()
        options.log_severity_level = _FATAL
        if self.options.threads is not None:
            options.intra_op_num_threads = self.options.threads
        chosen = [_PROVIDERS[self.provider]]
        if self.provider == "cpu":
            _share_memory()
            options.add_session_config_entry("session.use_env_allocators", "1")
            options.enable_mem_pattern = False  # one plan for each shape would be kept
            # Each session has threads, which wait for its next run by spinning: so those of one
            # stage would take the processors from the next, which on 2 cores costs a third.
            options.add_session_config_entry("session.force_spinning_stop", "1")
            # Multiplies quantized weights out once, and not in every run, which costs convolutions
            # their fast layout; and rounds where the graph says so, not where a rewrite moves it.
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        if self.provider == "rtx":  # it takes the whole graph, or is refused
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if self.provider == "tensorrt":  # the ops TensorRT leaves out stay on the GPU
            chosen.append(_PROVIDERS["cuda"])
        if self.provider != "cpu":
            ort.preload_dlls()
        graph = bundle.folder / artifact.file.path
        if paths.is_text(graph) and not _is_linked(bundle, artifact):
            return ort.InferenceSession(str(graph), options, providers=chosen)
        # ONNX Runtime follows no link out of a graph's folder, and takes paths in UTF-8 alone.
        kept = _add_weights(options, bundle, artifact)
        session = ort.InferenceSession(graph.read_bytes(), options, providers=chosen)
        del kept
        return session

    def _check_provider(self, session: Any) -> None:
        """Refuse a session that ONNX Runtime quietly put elsewhere, as it does without CUDA."""
        first = session.get_providers()[0]
        if first != _PROVIDERS[self.provider]:
            raise MissingBackendError(
                f"the backend onnxruntime was asked for {self.provider}, but only {first} started: "
                "install the CUDA libraries it was built for, or ask for the provider cpu"
            )


class OnnxRuntimeSession(Session):
    """An open ONNX graph."""

    def __init__(self, artifact: Artifact, session: Any) -> None:
        super().__init__(artifact)
        self._session = session
        self._outputs = [port.name for port in artifact.outputs]

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        try:
            results = self._session.run(self._outputs, dict(feeds))
        except Exception as error:
            raise BundleError(
                f"{self.artifact.label}: ONNX Runtime failed on it ({_first_line(error)})"
            ) from error
        return dict(zip(self._outputs, results, strict=True))

    def _close(self) -> None:
        self._session = None


def _runtime() -> Any:
    try:
        ort: Any = load("onnxruntime")
    except ImportError as error:
        raise MissingBackendError(
            f"onnxruntime can't be imported ({error}): pip install onnxruntime"
        ) from error
    return ort


@cache  # the arena is the process's: it is registered once
def _share_memory() -> None:
    """Give all sessions of the process one arena, which grows by what is needed.

    By default each session has its own, which grows by powers of two: for a window of the
    autoencoder twice to three times the memory, at the same speed. The arena keeps its memory
    for the next image until the process ends.
    """
    ort = _runtime()
    kind, where = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, ort.OrtMemType.DEFAULT
    ort.create_and_register_allocator(
        ort.OrtMemoryInfo("Cpu", kind, 0, where), ort.OrtArenaCfg(0, _AS_REQUESTED, -1, -1)
    )


def _is_linked(bundle: Bundle, artifact: Artifact) -> bool:
    """Tell whether a link leads to one of a graph's files."""
    entries = (artifact.file, *artifact.data)
    return any(paths.is_linked(bundle.folder / entry.path, bundle.folder) for entry in entries)


def _add_weights(options: Any, bundle: Bundle, artifact: Artifact) -> list[Any]:
    """Let a graph that comes as bytes have its weights from memory, and no other file.

    Returns:
        The weights, which must be kept until the session is made.
    """
    graph, *files = (bundle.folder / entry.path for entry in (artifact.file, *artifact.data))
    weights = [np.memmap(file, np.uint8, "r") for file in files]
    if weights:
        names = [file.relative_to(graph.parent).as_posix() for file in files]
        sizes = [len(data) for data in weights]
        options.add_external_initializers_from_files_in_memory(names, weights, sizes)
    options.add_session_config_entry(_DATA_FOLDER, _NOWHERE)
    return weights


def _list_provided(ort: Any) -> list[str]:
    have = ort.get_available_providers()
    return [name for name, provider in _PROVIDERS.items() if provider in have]


def _check_graph(artifact: Artifact, session: Any) -> None:
    ports = (*session.get_inputs(), *session.get_outputs())
    # A dimension that ONNX leaves open is a name, or None.
    found = {
        port.name: (
            _DTYPES.get(port.type, port.type),
            tuple(side if isinstance(side, int) else "?" for side in port.shape),
        )
        for port in ports
    }
    check_ports(artifact, found)


def _first_line(error: Exception) -> str:
    """Return the words of "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : words"."""
    words = str(error).split(" : ", 3)[-1].split("\n", 1)[0]
    return " ".join(words.split())[:200] or type(error).__name__
