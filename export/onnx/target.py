"""Baked model → the bundle's ``onnx/`` folder."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import Tensor

from tinysr.errors import UnsupportedError
from tinysr.manifest import Artifact, FileEntry, Port, Simplification, Stage

from ..files import describe_file
from ..options import Finish, TargetSettings
from ..plans.quantization import QuantizationPlan
from ..target import Build, Target
from .compose import upscale_graph
from .graph import StageGraph, example_input, export_stage, stage_input, stage_output
from .integer_graphs import quantize_graphs
from .simplify import compute, prove_simplified, simplify
from .weights import WeightFile, attach

__all__ = ["ONNX", "onnx_path", "suffix"]

FOLDER = "onnx"

_STAGES: tuple[Stage, ...] = ("encoder", "transformer", "decoder")


def onnx_path(bundle: Path, stage: Stage, precision: str) -> Path:
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
    for stage in _STAGES:
        progress(f"exporting the {stage} in {precision}")
        graphs.append(export_stage(baked, stage, tile=options.tile, batch=options.batch))
    plan = options.plan_for(precision)
    tensors: Mapping[str, Tensor | NDArray[Any]] = baked.state_dict()
    if isinstance(plan, QuantizationPlan):
        progress(f"quantizing to {precision}")
        graphs, tensors = quantize_graphs([simplify(graph) for graph in graphs], baked, plan)
    weights = WeightFile(folder / f"weights{suffix(precision)}.bin", tensors)
    graphs.append(upscale_graph(graphs, tile=options.tile, batch=options.batch))
    plainly = _Plainly(example_input(baked, "upscale", options.tile, options.batch or 1).numpy())

    def finish() -> tuple[Artifact, ...]:
        data = describe_file(bundle, weights.path)
        artifacts = []
        for graph in graphs:
            progress(f"simplifying the {graph.stage} graph and checking that nothing changed")
            path = onnx_path(bundle, graph.stage, precision)
            if isinstance(plan, QuantizationPlan):  # rounding hides what a proof looks for
                proof = None
                _write(graph, path, weights, metadata)
            else:
                proof = _write_proved(graph, path, weights, metadata, plainly)
            artifacts.append(
                _artifact(bundle, path, graph.stage, precision, data=data, proof=proof)
            )
        return tuple(artifacts)

    return finish


class _Plainly:
    """What the graphs compute of one image before they are simplified, stage after stage."""

    def __init__(self, image: np.ndarray) -> None:
        self._image = image
        self._made: dict[Stage, np.ndarray] = {}

    def make_input(self, stage: Stage) -> np.ndarray:
        """Return a stage's input."""
        if stage in ("encoder", "upscale"):
            return self._image
        z = self._made["encoder"]
        return z if stage == "transformer" else z - self._made["transformer"]

    def compute(self, stage: Stage, path: Path) -> np.ndarray:
        """Return a stage's result; its graph lies at ``path``."""
        if stage == "upscale":  # it is the other three's nodes
            return self._made["decoder"]
        self._made[stage] = compute(path, self.make_input(stage))
        return self._made[stage]


def _write_proved(
    graph: StageGraph,
    path: Path,
    weights: WeightFile,
    metadata: Mapping[str, str],
    plainly: _Plainly,
) -> Simplification:
    """Write the simplified graph, holding it against the plain one, which goes again."""
    plain = path.with_suffix(".plain.onnx")
    onnx.save(attach(graph.model, graph.weights, weights), plain)
    _write(simplify(graph), path, weights, metadata)
    image, expected = plainly.make_input(graph.stage), plainly.compute(graph.stage, plain)
    proof = prove_simplified(plain, path, image, expected)
    plain.unlink()
    return proof


def _write(graph: StageGraph, path: Path, weights: WeightFile, metadata: Mapping[str, str]) -> None:
    model = attach(graph.model, graph.weights, weights)
    _describe(model, graph.stage, metadata)
    onnx.save(model, path)
    onnx.checker.check_model(path, full_check=True)


def _describe(model: onnx.ModelProto, stage: Stage, metadata: Mapping[str, str]) -> None:
    model.producer_name = "tinysr"
    model.producer_version = importlib.metadata.version("tinysr")
    model.graph.name = f"tinysr-{stage}"
    model.doc_string = _DOCUMENTATION[stage]
    del model.metadata_props[:]
    for key, value in sorted({**metadata, "stage": stage}.items()):
        model.metadata_props.add(key=key, value=value)


def _artifact(
    bundle: Path,
    path: Path,
    stage: Stage,
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

_DOCUMENTATION: dict[Stage, str] = {
    "encoder": (
        f"{stage_input('encoder')}: RGB in [0, 1], [N, 3, H, W], H and W divisible by 4. "
        f"{stage_output('encoder')}: [N, C, H/2, W/2]. Includes the x4 bicubic resize."
    ),
    "transformer": (
        f"{stage_input('transformer')}: one tile of latents. "
        f"{stage_output('transformer')}: its velocity; high-resolution latents are "
        "latents - velocity."
    ),
    "decoder": (
        f"{stage_input('decoder')}: high-resolution latents [N, C, h, w]. "
        f"{stage_output('decoder')}: RGB, [N, 3, 8h, 8w], about [0, 1], to be clamped."
    ),
    "upscale": (
        f"{stage_input('upscale')}: one RGB tile in [0, 1]. "
        f"{stage_output('upscale')}: the tile x4, about [0, 1], to be clamped."
    ),
}
