"""Weights for an engine that was built without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinysr.errors import BundleError
from tinysr.manifest import Artifact

from .engine import Engine
from .log import make_logger

__all__ = ["refit"]


def refit(artifact: Artifact, engine: Engine, bundle: Path) -> None:
    """Put the weights of the ONNX graph into a stripped engine.

    Args:
        artifact: whose first further file is the graph; the weights lie beside it.
        engine: as loaded.
        bundle: the folder.

    Raises:
        BundleError: the manifest names no graph, or it is not the one the engine was built from.
    """
    if not artifact.data:
        raise BundleError(f"{artifact.label}: its weights were stripped, and no graph is named")
    module: Any = engine.module
    log = make_logger(module, engine.messages)
    refitter = module.Refitter(engine.engine, log)
    parser = module.OnnxParserRefitter(refitter, log)
    graph = bundle / artifact.data[0].path
    if not (parser.refit_from_file(str(graph)) and refitter.refit_cuda_engine()):
        raise BundleError(
            f"{artifact.label}: {graph} does not fit the engine ({engine.messages.first}): "
            "build it again with `tinysr export BUNDLE -t tensorrt`"
        )
