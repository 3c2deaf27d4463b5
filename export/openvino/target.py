"""The bundle's ONNX graphs → OpenVINO's intermediate representation, in ``openvino/``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from tinysr.chain import Chain
from tinysr.errors import UnsupportedError, require
from tinysr.facts import OpenVinoFacts
from tinysr.manifest import Artifact, FileEntry
from tinysr.stages import Stage

from ..files import describe_file
from ..onnx.target import suffix
from ..options import PRECISIONS, TargetSettings
from ..target import GraphBuild, Target
from .types import keep_wide, list_kept
from .weights import SharedWeights

__all__ = ["OPENVINO", "openvino_folder"]

_INFERENCE = {
    "fp32": {"fp32": "f32", "bf16": "bf16"},
    "fp16": {"fp16": "f32"},
    "int8": {"int8": "f32"},
}
"""Artifacts' precisions for each precision of the ONNX graphs, and the type in which OpenVINO
computes what is not quantized. bf16 has no files of its own: the CPU rounds fp32 weights when it
opens them, so the same files serve both."""


class _Types(NamedTuple):
    """Types in which a graph is computed."""

    inference: str
    kept: Sequence[Stage]
    """Stages that keep to f32."""


def openvino_folder(bundle: Path) -> Path:
    """Return where a bundle's intermediate representations lie."""
    return bundle / "openvino"


def _check(settings: TargetSettings, precisions: Sequence[str]) -> None:
    """Refuse, before anything is built, what the format has not or this machine lacks."""
    require("openvino", extra="openvino")
    if tuple(precisions) == PRECISIONS["all"]:
        return  # all that the format has
    for precision in precisions:
        if precision not in _INFERENCE:
            raise UnsupportedError(
                f"the target openvino has no {precision}: expected {', '.join(_INFERENCE)}; leave "
                "the target out, and run the ONNX graphs"
            )


def _build_from_graphs(build: GraphBuild) -> tuple[Artifact, ...]:
    """Convert every precision that the format has."""
    _check(build.settings, ())
    artifacts: list[Artifact] = []
    for precision in dict.fromkeys(graph.precision for graph in build.graphs):
        graphs = [graph for graph in build.graphs if graph.precision == precision]
        if precision in _INFERENCE:
            build.progress(f"converting {precision} to OpenVINO")
            artifacts += _convert(build, precision, graphs)
            if precision == "fp32" and (step := _find_wide_step(build.chain)):
                build.progress(f"leaving bf16 out: the step of '{step}' enlarges its rounding")
        else:
            build.progress(f"leaving {precision} out: openvino has none")
    return tuple(artifacts)


def _convert(build: GraphBuild, precision: str, graphs: Sequence[Artifact]) -> list[Artifact]:
    bundle, kept = build.bundle, list_kept(build.chain)
    folder = openvino_folder(bundle)
    folder.mkdir(exist_ok=True)
    weights = SharedWeights(folder / f"weights{suffix(precision)}.bin")
    with weights:
        paths = [_write(bundle / graph.file.path, folder, weights, kept) for graph in graphs]
    data = (describe_file(bundle, weights.path),)
    return [
        _artifact(graph, name, _Types(inference, kept), describe_file(bundle, path), data)
        for name, inference in _INFERENCE[precision].items()
        if name != "bf16" or not _find_wide_step(build.chain)
        for graph, path in zip(graphs, paths, strict=True)
    ]


def _find_wide_step(chain: Chain) -> str | None:
    """Return the stage that restores in fp32 alone, without which nothing is gained by bf16."""
    return next((stage.name for stage in list_kept(chain) if stage.restores), None)


def _write(graph: Path, folder: Path, weights: SharedWeights, kept: Sequence[Stage]) -> Path:
    """Convert one graph; its weights go into the file that all graphs share."""
    ov: Any = require("openvino", extra="openvino")
    path = folder / graph.with_suffix(".xml").name
    own = path.with_suffix(".bin")
    ov.serialize(ov.Core().read_model(graph), path, own)
    tree = ElementTree.parse(path)  # noqa: S314  OpenVINO wrote it just now
    weights.adopt(tree, own)
    keep_wide(tree, kept)
    tree.write(path, encoding="utf-8", xml_declaration=True)
    own.unlink()
    return path


def _artifact(
    graph: Artifact, precision: str, types: _Types, file: FileEntry, data: tuple[FileEntry, ...]
) -> Artifact:
    """Describe a converted graph: its inputs and outputs are those of the ONNX graph."""
    # The mark does not reach the padding of the image: a kept stage itself runs in f32.
    kept = [stage.name for stage in types.kept]
    own = "f32" if graph.stage in kept else types.inference
    return Artifact(
        target=OPENVINO.name,
        stage=graph.stage,
        precision=precision,
        file=file,
        data=data,
        inputs=graph.inputs,
        outputs=graph.outputs,
        options=OpenVinoFacts(inference_precision=own, kept_f32=" ".join(kept)),
    )


OPENVINO = Target(
    name="openvino",
    from_graphs=_build_from_graphs,
    check=_check,
    needs=("onnx",),
    packages=("openvino",),
)
