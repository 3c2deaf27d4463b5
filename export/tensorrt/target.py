"""The target: engines of the stages and of the whole, made from a bundle's ONNX graphs."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx

from tinysr import paths
from tinysr.errors import BundleError, GateError, UnsupportedError
from tinysr.facts import SizeSpan, TensorRTFacts
from tinysr.hashing import file_sha256
from tinysr.manifest import Artifact, FileEntry, Verdict
from tinysr.runtime.tensorrt.device import find_gpu
from tinysr.stages import WHOLE

from ..options import TargetSettings, TellStep
from ..plans.precision import PrecisionPlan
from ..target import GraphBuild, Target
from .build import EngineBuild, build_engine
from .cache import EngineCache, Placed, default_folder
from .flavor import Flavor, find_flavor, needs_gpu
from .isolated import run_isolated
from .key import Key, engine_key
from .network import parse_network, read_graph
from .options import CURRENT, PORTABLE, TensorRTOptions
from .profiles import Profile, choose_profile, engine_ports, weight_bytes
from .types import check_types, find_kept_modules, walk_layers

__all__ = ["NOT_RUN", "PRECISIONS", "SAVED_SHARE", "TENSORRT", "check_sizes", "engines_from_graphs"]

FOLDER = "tensorrt"

PRECISIONS = ("fp32", "fp16", "int8", "w8")
"""Blocks of 4-bit weights lie along an axis that TensorRT's parser does not take."""

NOT_RUN = Verdict(result="not run", note="built, not run here")

SAVED_SHARE = 0.5
"""An fp16 engine saves at least this share of what its weights save, against the fp32 engine."""

_WORTH = 2**20
"""Bytes of saved weights below which an engine's size says nothing: kernels outweigh them."""

_LOG = logging.getLogger("tinysr.export")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """Settings that the engines of a bundle have in common."""

    graphs: GraphBuild
    options: TensorRTOptions
    flavor: Flavor
    batch: int | None
    """Tiles that the graphs of tiles take; any number when None."""
    whole: Mapping[str, onnx.ModelProto]
    """The graph of the whole model, by its precision."""

    def plan(self, precision: str) -> PrecisionPlan | None:
        """Return what says which modules of a precision stay in fp32."""
        plan = self.graphs.plans.get(precision)
        return plan if isinstance(plan, PrecisionPlan) else None

    def plan_sha256(self, precision: str) -> str:
        """Return the hash of a precision's plan; empty if there is none."""
        plan = self.graphs.plans.get(precision)
        return plan.sha256 if plan else ""


def check(settings: TargetSettings, precisions: Sequence[str]) -> None:
    """Refuse what can't be built, before minutes are spent on graphs.

    Raises:
        UnsupportedError: a precision or an option that is not offered.
        MissingBackendError: the flavour is not installed, or needs a GPU.
    """
    for precision in precisions:
        if precision not in PRECISIONS:
            raise UnsupportedError(
                f"TensorRT has no engines in {precision}: expected one of {', '.join(PRECISIONS)}"
            )
    options = _options(settings)
    find_flavor(options.flavor).check(options)


def engines_from_graphs(graphs: GraphBuild) -> tuple[Artifact, ...]:
    """Build the engine of each graph, and hold it against the precision asked for."""
    check(graphs.settings, [graph.precision for graph in graphs.graphs])
    (graphs.bundle / FOLDER).mkdir(exist_ok=True)
    options = _options(graphs.settings)
    tiles = next(graph for graph in graphs.graphs if graph.stage == WHOLE)
    batch = tiles.inputs[0].shape[0]
    job = _Job(
        graphs=graphs,
        options=options,
        flavor=find_flavor(options.flavor),
        batch=batch if isinstance(batch, int) else None,
        whole={
            graph.precision: read_graph(graphs.bundle / graph.file.path, graph.label)
            for graph in graphs.graphs
            if graph.stage == WHOLE
        },
    )
    engines = tuple(_engine(job, graph) for graph in graphs.graphs)
    check_sizes(engines)
    return engines


def check_sizes(engines: Sequence[Artifact]) -> None:
    """Hold the sizes of fp16 engines against those of the fp32 ones.

    Raises:
        GateError: one saves less than half of what its weights do: it is not really fp16.
    """
    wide = {engine.stage: engine for engine in engines if engine.precision == "fp32"}
    for engine in engines:
        if engine.precision != "fp16" or engine.stage not in wide:
            continue
        other = wide[engine.stage]
        weights = other.facts(TensorRTFacts).weight_bytes - engine.facts(TensorRTFacts).weight_bytes
        saved = other.file.size - engine.file.size
        if weights >= _WORTH and saved < SAVED_SHARE * weights:
            raise GateError(
                f"{engine.label}: expected {weights} bytes less than the fp32 engine's "
                f"{other.file.size}, as in the weights, found {engine.file.size}: it holds fp32"
            )


def _engine(job: _Job, graph: Artifact) -> Artifact:
    graphs, options, flavor = job.graphs, job.options, job.flavor
    label = f"{FOLDER}/{graph.stage} {graph.precision}"
    path = graphs.bundle / graph.file.path
    model = read_graph(path, graph.label)
    profile = choose_profile(
        graph.inputs[0], graphs.chain, options, tile=graphs.tile, batch=job.batch
    )
    counts = _counts(job, graph, model)
    graphs.progress(f"building {label} with {flavor.label}")
    build = EngineBuild(graph=path, label=label, profile=profile, options=options)
    target = graphs.bundle / FOLDER / f"{graph.stage}.{graph.precision}.engine"
    key = engine_key(
        f"{graphs.source} {label}",
        graph,
        flavor=flavor,
        options=options,
        profile=profile,
        plan_sha256=job.plan_sha256(graph.precision),
    )
    placed = _place(
        job, key, target, partial(build_engine, flavor, build, progress=graphs.progress)
    )
    _LOG.info("%s: %s; layers %s", label, "from the cache" if placed.cached else "built", counts)
    return Artifact(
        target=FOLDER,
        stage=graph.stage,
        precision=graph.precision,
        file=FileEntry(
            path=f"{FOLDER}/{target.name}",
            sha256=placed.sha256,
            size=paths.size(target, BundleError),
        ),
        data=(graph.file, *graph.data) if options.strip else (),
        inputs=engine_ports(graph.inputs, profile),
        outputs=engine_ports(graph.outputs, profile),
        options=_describe(job, profile, weight_bytes(model), counts),
        parity=NOT_RUN,
    )


def _counts(job: _Job, graph: Artifact, model: onnx.ModelProto) -> dict[str, int]:
    """Walk the network before it is built, and return how many layers compute in which type."""
    label = f"{FOLDER}/{graph.stage} {graph.precision}"
    kept = find_kept_modules(
        job.plan(graph.precision), job.whole[graph.precision], job.graphs.chain
    )

    def work(_: TellStep) -> dict[str, int]:
        path = job.graphs.bundle / graph.file.path
        network = parse_network(job.flavor, path, label).network
        return check_types(list(walk_layers(network, model)), graph.precision, kept, label=label)

    if needs_gpu(job.flavor, job.options) or not hasattr(os, "fork"):
        return work(job.graphs.progress)
    counts: dict[str, int] = run_isolated(work, label=label)
    return counts


def _place(job: _Job, key: Key, target: Path, build: Callable[[Path], None]) -> Placed:
    folder = default_folder() if job.options.cache else None
    if folder is not None:
        return EngineCache(folder=folder).place(key, target, build)
    build(target)
    return Placed(sha256=file_sha256(target), cached=False)


def _describe(
    job: _Job, profile: Profile, weights: int, counts: Mapping[str, int]
) -> TensorRTFacts:
    """Return what the manifest says of an engine's build."""
    options = job.options
    return TensorRTFacts(
        flavor=job.flavor.name,
        version=job.flavor.version,
        gpu=_describe_gpu(job.flavor, options),
        hardware=options.hardware,
        shapes=tuple(SizeSpan(least=d.least, best=d.best, most=d.most) for d in profile.dims),
        largest_batch=profile.dims[0].most,
        longest_side=max(profile.dims[-1].most, profile.dims[-2].most),
        weight_bytes=weights,
        layers=dict(counts),
        strip=options.strip,
        refit=options.refit,
        weight_streaming=options.weight_streaming,
        version_compatible=options.version_compatible,
    )


def _describe_gpu(flavor: Flavor, options: TensorRTOptions) -> str:
    if flavor.name == "rtx" and CURRENT not in options.compute_capabilities:
        return " ".join(options.compute_capabilities) or PORTABLE
    found = find_gpu()
    return f"{found.name} ({found.capability})" if found else "none"


def _options(settings: TargetSettings) -> TensorRTOptions:
    options = settings.get(FOLDER, TensorRTOptions())
    if not isinstance(options, TensorRTOptions):
        raise TypeError(f"expected TensorRTOptions for {FOLDER}, found {type(options).__name__}")
    return options


TENSORRT = Target(
    name=FOLDER,
    from_graphs=engines_from_graphs,
    check=check,
    needs=("onnx",),
    packages=(),
)
