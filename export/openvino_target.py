"""The bundle's ONNX graphs → OpenVINO's intermediate representation, in ``openvino/``."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import onnx

from tinysr.errors import UnsupportedError, require
from tinysr.manifest import Artifact, FileEntry, Stage

from .files import file_entry
from .onnx_target import onnx_path, port_of, suffix
from .openvino_types import KEPT, keep_wide
from .openvino_weights import SharedWeights
from .options import Finish
from .target import Build, Target

__all__ = ["OPENVINO", "openvino_folder"]

_STAGES: tuple[Stage, ...] = ("encoder", "transformer", "decoder", "upscale")

_INFERENCE = {
    "fp32": {"fp32": "f32", "bf16": "bf16"},
    "fp16": {"fp16": "f32"},
    "int8": {"int8": "f32"},
}
"""For each precision of the ONNX graphs, the precisions of artifacts made from it, and the type in
which OpenVINO computes what is not quantized. bf16 has no files of its own: the CPU rounds fp32
weights when it opens them, so the same files serve both."""


def openvino_folder(bundle: Path) -> Path:
    """Return where a bundle's intermediate representations lie."""
    return bundle / "openvino"


def _build(build: Build) -> Finish:
    """Check that the precision can be made, and leave the rest until the ONNX graphs are there."""
    precision, bundle, progress = build.precision, build.bundle, build.progress
    if precision not in _INFERENCE and build.options.precision == "all":
        progress(f"leaving {precision} out: openvino has none")
        return tuple
    if precision not in _INFERENCE:
        raise UnsupportedError(
            f"the target openvino has no {precision}: expected {', '.join(_INFERENCE)}; leave the "
            "target out, and run the ONNX graphs"
        )
    require("openvino", extra="openvino")

    def finish() -> tuple[Artifact, ...]:
        progress(f"converting {precision} to OpenVINO")
        return _convert(bundle, precision)

    return finish


def _convert(bundle: Path, precision: str) -> tuple[Artifact, ...]:
    folder = openvino_folder(bundle)
    folder.mkdir(exist_ok=True)
    weights = SharedWeights(folder / f"weights{suffix(precision)}.bin")
    with weights:
        paths = {
            stage: _write(onnx_path(bundle, stage, precision), folder, weights) for stage in _STAGES
        }
    data = (file_entry(bundle, weights.path),)
    return tuple(
        # The mark does not reach the padding of the image: the encoder itself runs in f32.
        _artifact(
            bundle, stage, path, name, inference="f32" if stage == KEPT else inference, data=data
        )
        for name, inference in _INFERENCE[precision].items()
        for stage, path in paths.items()
    )


def _write(graph: Path, folder: Path, weights: SharedWeights) -> Path:
    """Convert one graph; its weights go into the file that all graphs share."""
    ov: Any = require("openvino", extra="openvino")
    path = folder / graph.with_suffix(".xml").name
    own = path.with_suffix(".bin")
    ov.serialize(ov.Core().read_model(graph), path, own)
    tree = ElementTree.parse(path)  # noqa: S314  OpenVINO wrote it just now
    weights.adopt(tree, own)
    keep_wide(tree)
    tree.write(path, encoding="utf-8", xml_declaration=True)
    own.unlink()
    return path


def _artifact(
    bundle: Path,
    stage: Stage,
    path: Path,
    precision: str,
    *,
    inference: str,
    data: tuple[FileEntry, ...],
) -> Artifact:
    source = bundle / "onnx" / path.with_suffix(".onnx").name
    graph = onnx.load(source, load_external_data=False).graph
    return Artifact(
        target=OPENVINO.name,
        stage=stage,
        precision=precision,
        file=file_entry(bundle, path),
        data=data,
        inputs=tuple(port_of(value) for value in graph.input),
        outputs=tuple(port_of(value) for value in graph.output),
        options={"inference_precision": inference, "kept_f32": KEPT},
    )


OPENVINO = Target(
    name="openvino",
    build=_build,
    needs=("onnx",),
    packages=("openvino",),
)
