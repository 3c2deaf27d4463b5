"""The contenders of a comparison: what a user would run otherwise, and ours, as functions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tinysr import paths
from tinysr.enlarging import prepare_image
from tinysr.errors import UnsupportedError, choice_error, require
from tinysr.runtime import Bundle, create

__all__ = ["OTHERS", "export_plain_onnx", "open_contender"]

OTHERS = ("plain onnx fp32", "eager fp32", "eager bf16", "torch.compile fp32")
"""The unbaked model: through PyTorch's own exporter on ONNX Runtime, eager, and compiled."""

_OPSET = 20

Enlarge = Callable[[Any], Any]
"""Maps an image ``[1, 3, T, T]`` to its result, both fp32 arrays."""


def open_contender(
    bundle: Bundle, name: str, plain: Path, opened: ExitStack, model: Path | None = None
) -> Enlarge:
    """Open a contender.

    Args:
        bundle: its model is loaded for what is not in the bundle.
        name: one of :data:`OTHERS`, or a backend and a precision.
        plain: where the unbaked model's graph lies, or is to be put, for that contender.
        opened: closes what the contender holds.
        model: the checkpoint, when the bundle was made from none of the presets.

    Raises:
        CheckpointError: the model is another one than the bundle's.
        TinySRError: it is unknown or can't run here.
    """
    backend, _, precision = name.rpartition(" ")
    if name == OTHERS[0]:
        return _open_plain(bundle, plain, model)
    if backend == "eager":
        return _open_eager(_model(bundle, model), precision)
    if backend == "torch.compile":
        return _open_compiled(_model(bundle, model))
    if backend in ("onnxruntime", "openvino"):
        return _open_ours(bundle, backend, precision, opened)
    raise choice_error("contender", name, OTHERS)


def export_plain_onnx(bundle: Bundle, path: Path, checkpoint: Path | None = None) -> None:
    """Export the unbaked model in one graph, as PyTorch's documentation says."""
    torch: Any = require("torch", extra="bench")
    model, tile = _model(bundle, checkpoint), bundle.manifest.tile
    torch.onnx.export(
        model,
        (torch.zeros(1, 3, tile, tile),),
        path,
        dynamo=True,
        opset_version=_OPSET,
        external_data=True,
        verbose=False,
        input_names=["image"],
        output_names=["upscaled"],
    )


def _model(bundle: Bundle, checkpoint: Path | None) -> Any:
    from tinysr.models import load_source  # noqa: PLC0415  torch waits until it is asked for

    return load_source(bundle.manifest.source, checkpoint).model


def _open_plain(bundle: Bundle, path: Path, checkpoint: Path | None) -> Enlarge:
    if bundle.manifest.chain.enlarges != "none":
        raise UnsupportedError(
            f"{bundle.manifest.name}: its images are enlarged by Pillow before the first stage, "
            "which no graph of PyTorch's exporter can do: leave 'plain onnx fp32' out"
        )
    if not paths.exists(path, UnsupportedError):
        export_plain_onnx(bundle, path, checkpoint)
    ort: Any = require("onnxruntime", extra="bench")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})[0]


def _open_eager(model: Any, precision: str) -> Enlarge:
    torch: Any = require("torch", extra="bench")
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if precision not in dtypes:
        raise choice_error("contender", f"eager {precision}", OTHERS)
    return _torch_run(model.to(dtypes[precision]), dtypes[precision])


def _open_compiled(model: Any) -> Enlarge:
    torch: Any = require("torch", extra="bench")
    return _torch_run(torch.compile(model), torch.float32)


def _torch_run(model: Any, dtype: Any) -> Enlarge:
    torch: Any = require("torch", extra="bench")

    def run(image: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(image).to(dtype)).float().numpy()

    return run


def _open_ours(bundle: Bundle, name: str, precision: str, opened: ExitStack) -> Enlarge:
    """Open the stages, as the runtime does; for one tile there is nothing to blend."""
    backend = create(name)
    sessions = {
        stage: opened.enter_context(
            backend.open(bundle, backend.artifact(bundle, stage, precision))
        )
        for stage in bundle.manifest.chain.names
    }

    def run(image: Any) -> Any:
        array = prepare_image(bundle.manifest.chain, image)
        for session in sessions.values():
            (source,), (sink,) = session.artifact.inputs, session.artifact.outputs
            array = session.run({source.name: array})[sink.name]
        return array

    return run
