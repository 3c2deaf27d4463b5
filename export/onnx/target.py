"""Baked model → the bundle's ``onnx/`` folder."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import Tensor

from tinysr.chain import Chain
from tinysr.errors import UnsupportedError
from tinysr.manifest import Artifact, FileEntry, Port, Simplification
from tinysr.stages import WHOLE, StageName

from ..files import describe_file
from ..options import Finish, TargetSettings
from ..plans.quantization import QuantizationPlan
from ..target import Build, Target
from .compose import compose_whole
from .graph import StageGraph, example_input, export_stage
from .integer_graphs import quantize_graphs
from .simplify import compute, prove_simplified, simplify
from .weights import WeightFile, attach

__all__ = ["ONNX", "onnx_path", "suffix"]

FOLDER = "onnx"


def onnx_path(bundle: Path, stage: StageName, precision: str) -> Path:
    """Return where the graph of a stage lies in a bundle."""
    return bundle / FOLDER / f"{stage}{suffix(precision)}.onnx"


def suffix(precision: str) -> str:
    """Return what stands in the names of a precision's files."""
    return "" if precision == "fp32" else f".{precision}"


def _build(build: Build) -> Finish:
    """Write the weights' one file and trace the four graphs that share it.

    Returns:
        What simplifies, checks and describes the graphs. It needs the model no more.
    """
    baked, bundle, options = build.model, build.bundle, build.options
    precision, metadata, progress = build.precision, build.metadata, build.progress
    folder = bundle / FOLDER
    folder.mkdir(exist_ok=True)
    graphs: list[StageGraph] = []
    for stage in baked.chain.names:
        progress(f"exporting the {stage} in {precision}")
        graphs.append(export_stage(baked, stage, tile=options.tile, batch=options.batch))
    plan = options.plan_for(precision)
    tensors: Mapping[str, Tensor | NDArray[Any]] = baked.state_dict()
    if isinstance(plan, QuantizationPlan):
        progress(f"quantizing to {precision}")
        graphs, tensors = quantize_graphs([simplify(graph) for graph in graphs], baked, plan)
    weights = WeightFile(folder / f"weights{suffix(precision)}.bin", tensors)
    chain = baked.chain
    if len(graphs) > 1:
        graphs.append(compose_whole(graphs, chain, tile=options.tile, batch=options.batch))
    plainly = _Plainly(example_input(baked.chain, WHOLE, options.tile, options.batch or 1).numpy())

    def finish() -> tuple[Artifact, ...]:
        data = describe_file(bundle, weights.path)
        artifacts = []
        for graph in graphs:
            progress(f"simplifying the {graph.stage} graph and checking that nothing changed")
            path = onnx_path(bundle, graph.stage, precision)
            if isinstance(plan, QuantizationPlan):  # rounding hides what a proof looks for
                proof = None
                _write(graph, path, weights, _Texts(chain, metadata))
            else:
                proof = _write_proved(graph, path, weights, _Texts(chain, metadata), plainly)
            artifacts.append(
                _artifact(bundle, path, graph.stage, precision, data=data, proof=proof)
            )
        return tuple(artifacts)

    return finish


@dataclass(frozen=True, slots=True)
class _Texts:
    """Facts that a graph tells of itself."""

    chain: Chain
    metadata: Mapping[str, str]


class _Plainly:
    """Results of the graphs for one image before they are simplified, stage after stage."""

    def __init__(self, image: np.ndarray) -> None:
        self._image = self._last = image

    def compute(self, stage: StageName, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Return what a graph that lies at ``path`` reads and gives."""
        if stage == WHOLE and self._last is not self._image:  # it is the others' nodes
            return self._image, self._last
        given, self._last = self._last, compute(path, self._last)
        return given, self._last


def _write_proved(
    graph: StageGraph,
    path: Path,
    weights: WeightFile,
    texts: _Texts,
    plainly: _Plainly,
) -> Simplification:
    """Write the simplified graph, holding it against the plain one, which goes again."""
    plain = path.with_suffix(".plain.onnx")
    onnx.save(attach(graph.model, graph.weights, weights), plain)
    _write(simplify(graph), path, weights, texts)
    image, expected = plainly.compute(graph.stage, plain)
    proof = prove_simplified(plain, path, image, expected)
    plain.unlink()
    return proof


def _write(graph: StageGraph, path: Path, weights: WeightFile, texts: _Texts) -> None:
    model = attach(graph.model, graph.weights, weights)
    _describe(model, graph.stage, texts)
    onnx.save(model, path)
    onnx.checker.check_model(path, full_check=True)


def _describe(model: onnx.ModelProto, stage: StageName, texts: _Texts) -> None:
    model.producer_name = "tinysr"
    model.producer_version = importlib.metadata.version("tinysr")
    model.graph.name = f"tinysr-{stage}"
    model.doc_string = _document(texts.chain, stage)
    del model.metadata_props[:]
    for key, value in sorted({**texts.metadata, "stage": stage}.items()):
        model.metadata_props.add(key=key, value=value)


def _document(chain: Chain, graph: StageName) -> str:
    """Return what goes in and out of a graph, in words."""
    texts = []
    for field in chain.ends(graph):
        cell = field.pixels_per_cell
        sides = f"sides 1/{cell} of the result's" if cell > 1 else "the result's sides"
        kind = "RGB, about [0, 1], " if field.channels == 3 and field.unit == 1 else ""
        texts.append(f"{field.name}: {kind}[N, {field.channels}, H, W], {sides}.")
    size = "one tile" if chain.is_fixed(graph) else f"sides that divide by {chain.multiple} pixels"
    end = " The result is to be clamped." if graph in (WHOLE, chain.names[-1]) else ""
    return f"{' '.join(texts)} It takes {size}.{end}"


def _artifact(
    bundle: Path,
    path: Path,
    stage: StageName,
    precision: str,
    *,
    data: FileEntry,
    proof: Simplification | None,
) -> Artifact:
    graph = onnx.load(path, load_external_data=False).graph
    return Artifact(
        target="onnx",
        stage=stage,
        precision=precision,
        file=describe_file(bundle, path),
        data=(data,),
        inputs=tuple(_port(value) for value in graph.input),
        outputs=tuple(_port(value) for value in graph.output),
        simplified=proof,
    )


def _port(value: onnx.ValueInfoProto) -> Port:
    kind = value.type.tensor_type
    shape = tuple(dim.dim_param or dim.dim_value for dim in kind.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    return Port.model_validate({"name": value.name, "dtype": dtype, "shape": shape})


def _check(settings: TargetSettings, precisions: Sequence[str]) -> None:
    if "w6" in precisions:
        raise UnsupportedError(
            "onnx has no weights in 6 bits: expected the target coreml alone, or another precision"
        )


ONNX = Target(
    name="onnx",
    build=_build,
    check=_check,
    packages=("onnx", "onnxscript", "onnxsim", "onnxruntime"),
)
