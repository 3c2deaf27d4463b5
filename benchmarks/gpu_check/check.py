"""The whole check of one bundle: engines that fit, parity, latencies."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinysr.errors import MissingBackendError, TinySRError
from tinysr.export.extend import Extension, extend_bundle
from tinysr.facts import TensorRTFacts
from tinysr.manifest import Artifact
from tinysr.models import Loaded, load_source
from tinysr.parity import compute_references, run_parity
from tinysr.runtime import RunOptions, create
from tinysr.runtime.backends.tensorrt import TensorRTBackend
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.tensorrt.device import explain_no_gpu, find_gpu
from tinysr.runtime.tensorrt.engine import load_engine
from tinysr.runtime.tensorrt.inspection import layer_types
from tinysr.suite import suite
from tinysr.versions import find_versions

from .eager import eager_rows
from .engines import engine_rows, tile_shape
from .latency import GpuLatency, measure
from .rows import GpuRow, make_row

__all__ = ["check_bundle", "describe_machine", "with_engines"]

_PACKAGES = ("tinysr", "tensorrt", "tensorrt_rtx", "cuda-bindings", "torch", "onnxruntime", "numpy")

_PROVIDERS = ("cuda", "rtx")

Tell = Callable[[str], None]


def describe_machine() -> dict[str, Any]:
    """Describe the GPU, the host and the versions.

    Raises:
        MissingBackendError: there is no GPU.
    """
    found = find_gpu()
    if found is None:
        raise MissingBackendError(
            f"the check needs an NVIDIA GPU, found none ({explain_no_gpu()}): run it on a machine "
            "with one; `make gpu-check-folder` gathers what it needs there"
        )
    return {
        "gpu": found.name,
        "compute_capability": found.capability,
        "driver": found.driver,
        "memory_bytes": found.memory,
        "system": platform.platform(),
        "python": platform.python_version(),
        "tools": find_versions(_PACKAGES),
    }


def with_engines(bundle: Bundle, precision: str, tell: Tell) -> tuple[Bundle, list[str]]:
    """Return the bundle with engines for this machine, and why its own did not do.

    Engines that fit are kept; else new ones are built into a bundle beside it.
    """
    backend = TensorRTBackend()
    own = [a for a in bundle.artifacts("tensorrt") if a.precision == precision]
    unfit = list(dict.fromkeys(filter(None, (backend.explain_unfit(bundle, a) for a in own))))
    if own and not unfit:
        return bundle, []
    place = bundle.folder.with_name(f"{bundle.folder.name}.here")
    tell(f"building engines of {bundle.folder.name} for this machine")
    more = Extension(targets=("tensorrt",), precision=precision, settings={})
    extend_bundle(bundle, place, more, overwrite=True, progress=tell)
    return Bundle(place), unfit or ["the bundle has no engines"]


def check_bundle(folder: Path, precision: str, tell: Tell, model: Path | None) -> dict[str, Any]:
    """Check one bundle; what fails is said in the result, and the rest goes on.

    Args:
        folder: the bundle.
        precision: of the engines.
        tell: told what is being done.
        model: the checkpoint, when the bundle was made from none of the presets.
    """
    bundle = Bundle(folder)
    source = bundle.manifest.source
    result: dict[str, Any] = {"bundle": folder.name, "source": source.model_dump()}
    loaded = load_source(source, model)  # before engines are built
    try:
        bundle, result["rebuilt_because"] = with_engines(bundle, precision, tell)
    except TinySRError as error:
        result["engines"] = f"not built: {error}"
    tell(f"layers of {folder.name}")
    result["layers"] = _layers(bundle, precision)
    tell(f"parity of {folder.name}")
    result["parity"] = _parity(bundle, loaded)
    rows: list[GpuRow] = []
    for found in _rows(bundle, loaded, precision):
        tell(f"{found.model} {found.stage}: {found.method}")
        rows.append(found)
    result["latencies"] = [found.model_dump() for found in rows]
    return result


def _rows(bundle: Bundle, loaded: Loaded, precision: str) -> Iterator[GpuRow]:
    yield from engine_rows(bundle, precision)
    for provider in _PROVIDERS:
        for artifact in bundle.artifacts("onnx"):
            if artifact.precision == precision:
                yield make_row(
                    partial(_onnxruntime, bundle, artifact, provider),
                    model=bundle.manifest.source.name,
                    stage=artifact.stage,
                    method=f"onnxruntime {provider}, with copies",
                    precision=precision,
                )
    yield from eager_rows(loaded.source.name, loaded.model, bundle.manifest.tile, precision)


def _layers(bundle: Bundle, precision: str) -> dict[str, Any]:
    """Say what the inspector finds in each engine, beside what its network had."""
    found: dict[str, Any] = {}
    for artifact in bundle.artifacts("tensorrt"):
        if artifact.precision != precision:
            continue
        try:
            types: Any = layer_types(load_engine(artifact, bundle.path(artifact)))
        except TinySRError as error:
            types = f"not inspected: {error}"
        network = artifact.facts(TensorRTFacts).layers
        found[artifact.stage] = {"engine": types, "network": network}
    return found


def _parity(bundle: Bundle, loaded: Loaded) -> dict[str, Any]:
    """Hold engines, and the graphs on CUDA where that is there, against the eager model."""
    references = compute_references(loaded.model, suite(bundle.manifest.tile))
    found: dict[str, Any] = {}
    backends = {"tensorrt": create("tensorrt")}
    for provider in _PROVIDERS:
        options = RunOptions(provider=provider)
        backends[f"onnxruntime {provider}"] = create("onnxruntime", options)
    for name, backend in backends.items():
        try:
            backend.demand()
            results = run_parity(bundle, [backend], references).report.results
        except TinySRError as error:
            found[name] = f"not run: {error}"
        else:
            found[name] = {r.label: r.verdict.model_dump() for r in results}
    return found


def _onnxruntime(bundle: Bundle, artifact: Artifact, provider: str) -> GpuLatency:
    shape = tile_shape(bundle, artifact.stage)
    port = artifact.inputs[0]
    feed = {port.name: np.random.default_rng(0).random(shape, np.float32).astype(port.dtype)}
    with create("onnxruntime", RunOptions(provider=provider)).open(bundle, artifact) as session:
        return measure(lambda: session.run(feed), _host_timer)


def _host_timer(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)
