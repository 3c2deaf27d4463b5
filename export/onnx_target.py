"""Baked model → the bundle's ``onnx/`` folder."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

import onnx

from tinysr.manifest import Artifact, FileEntry, Port, Simplification, Stage

from .compose import upscale_graph
from .files import file_entry
from .graph import StageGraph, example_input, stage_graph, stage_input, stage_output
from .options import ExportOptions, Progress
from .simplify import prove_simplified, simplify
from .weights import WeightFile, attach
from .baked import BakedTinySR

__all__ = ["build_onnx"]

FOLDER = "onnx"
WEIGHTS = "weights.bin"

_STAGES: tuple[Stage, ...] = ("encoder", "transformer", "decoder")


def build_onnx(
    baked: BakedTinySR,
    bundle: Path,
    options: ExportOptions,
    metadata: Mapping[str, str],
    progress: Progress,
) -> tuple[Artifact, ...]:
    """Write the four graphs and their one file of weights.

    Args:
        baked: a fully baked model.
        bundle: the bundle's folder; ``onnx/`` is made in it.
        options: tile, batch and precision.
        metadata: texts for the graphs' metadata.
        progress: told what is being done.

    Raises:
        GateError: onnxsim changed a result.
    """
    folder = bundle / FOLDER
    folder.mkdir()
    progress("writing the weights")
    weights = WeightFile(folder / WEIGHTS, baked.state_dict())
    data = file_entry(bundle, folder / WEIGHTS)
    plain: list[StageGraph] = []
    for stage in _STAGES:
        progress(f"exporting the {stage}")
        plain.append(stage_graph(baked, stage, tile=options.tile, batch=options.batch))
    plain.append(upscale_graph(plain, tile=options.tile, batch=options.batch))
    artifacts = []
    for graph in plain:
        progress(f"simplifying the {graph.stage} graph and checking that nothing changed")
        path, proof = _write(graph, folder, weights, metadata, baked, options)
        artifacts.append(_artifact(bundle, path, graph.stage, data, proof, options))
    return tuple(artifacts)


def _write(
    graph: StageGraph,
    folder: Path,
    weights: WeightFile,
    metadata: Mapping[str, str],
    baked: BakedTinySR,
    options: ExportOptions,
) -> tuple[Path, Simplification]:
    """Write the simplified graph, holding it against the plain one, which goes again."""
    path, plain = folder / f"{graph.stage}.onnx", folder / f"{graph.stage}.plain.onnx"
    onnx.save(attach(graph.model, graph.weights, weights), plain)
    model = attach(simplify(graph).model, graph.weights, weights)
    _describe(model, graph.stage, metadata)
    onnx.save(model, path)
    onnx.checker.check_model(path, full_check=True)
    image = example_input(baked, graph.stage, options.tile, options.batch or 1)
    proof = prove_simplified(plain, path, image.numpy())
    plain.unlink()
    return path, proof


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
    data: FileEntry,
    proof: Simplification,
    options: ExportOptions,
) -> Artifact:
    graph = onnx.load(path, load_external_data=False).graph
    return Artifact(
        target="onnx",
        stage=stage,
        precision=options.precision,
        file=file_entry(bundle, path),
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
