"""The graphs of a bundle: read, run, and taken apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from tests.support.tiny_models import TILE
from tinysr.manifest import Artifact, read_manifest
from tinysr.stages import StageName

STAGES: tuple[StageName, ...] = ("encoder", "transformer", "decoder", "upscale")


def graph(bundle: Path, stage: StageName) -> onnx.GraphProto:
    return model(bundle, stage).graph


def model(bundle: Path, stage: StageName) -> onnx.ModelProto:
    return onnx.load(file(bundle, stage), load_external_data=False)


def file(bundle: Path, stage: StageName) -> Path:
    return bundle / "onnx" / f"{stage}.onnx"


def artifact(bundle: Path, stage: StageName) -> Artifact:
    return next(a for a in read_manifest(bundle).artifacts if a.stage == stage)


def run(path: Path, values: torch.Tensor) -> torch.Tensor:
    """Run a graph on ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: values.numpy()})[0])


def inline(bundle: Path, stage: StageName) -> dict[str, np.ndarray]:
    """Return the constants that are not in the file of weights."""
    return {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph(bundle, stage).initializer
        if tensor.data_location != onnx.TensorProto.EXTERNAL
    }


def external(bundle: Path, stage: StageName) -> dict[str, dict[str, str]]:
    """Return where each weight of a graph lies."""
    return {
        tensor.name: {entry.key: entry.value for entry in tensor.external_data}
        for tensor in graph(bundle, stage).initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    }


def tile_shape(stage: StageName) -> tuple[int, int, int]:
    return (3, TILE, TILE) if stage in ("encoder", "upscale") else (16, TILE // 2, TILE // 2)
