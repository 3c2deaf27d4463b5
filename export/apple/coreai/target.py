"""The Core AI target: ``coreai/TinySR.aimodel``, Apple's format from iOS and macOS 27 on.

PyTorch's own types are kept in it, so it is made of the model that a precision plan was put into
effect in, as ONNX graphs are. All functions share one copy of the weights.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tinysr import paths
from tinysr.chain import Chain
from tinysr.errors import BundleError, UnsupportedError, require
from tinysr.export.files import describe_file
from tinysr.export.onnx.graph import example_input
from tinysr.export.options import Finish, TargetSettings
from tinysr.export.target import Build, Target
from tinysr.facts import CoreAIFacts
from tinysr.manifest import Artifact, Port
from tinysr.stages import Field

from ..coreml.package import AUTHOR, add_hash, find_licence
from ..ports import FunctionPorts, list_functions
from .convert import EXTRA, add_function, make_converter

__all__ = ["COREAI"]

FOLDER = "coreai"

_PRECISIONS = ("fp32", "fp16")
_LEAST, _LARGEST = 8, 8192
"""Sides of windows go from here to there, in places of the input."""


def _check(settings: TargetSettings, precisions: Sequence[str]) -> None:
    """Refuse what no asset can be made for, before anything is built."""
    require("coreai_torch", extra=EXTRA)
    for precision in precisions:
        if precision not in _PRECISIONS:
            raise UnsupportedError(
                f"coreai has no {precision} here: expected {' or '.join(_PRECISIONS)}"
            )


def _build(build: Build) -> Finish:
    if build.precision != build.options.precision:
        return tuple
    converter = make_converter()
    functions = list_functions(build.model.chain)
    for ports in functions:
        build.progress(f"converting '{ports.name}' to Core AI in {build.precision}")
        program = _export(build, ports)
        add_function(converter, program, name=ports.name, reads=ports.input, gives=ports.output)
    path = build.bundle / FOLDER / f"TinySR{_suffix(build.precision)}.aimodel"
    path.parent.mkdir(exist_ok=True)
    facts = _facts(build)
    _save(converter, path, facts)
    artifacts = tuple(_artifact(build, path, ports, facts) for ports in functions)
    return lambda: artifacts


def _suffix(precision: str) -> str:
    return "" if precision == "fp16" else f".{precision}"


def _export(build: Build, ports: FunctionPorts) -> Any:
    """Trace a stage; the autoencoder's take windows of any size."""
    stages = build.model.chain.names
    model = build.model.get_submodule(ports.stage) if ports.stage in stages else build.model
    example = example_input(build.model.chain, ports.stage, build.options.tile, 1)
    sizes = _open(build.model.chain, ports, example)
    with torch.no_grad(), _silence():
        return torch.export.export(model.eval(), (example,), dynamic_shapes=sizes)


def _open(
    chain: Chain, ports: FunctionPorts, example: torch.Tensor
) -> tuple[dict[int, Any]] | None:
    if not ports.free:
        return None
    stage = chain.stage(ports.stage)
    each = stage.align * chain.cell(stage) // ports.reads.pixels_per_cell
    least = max(1, min(_LEAST, *example.shape[2:]) // each)
    sides = {
        axis: torch.export.Dim(name, min=least, max=_LARGEST // each)
        for axis, name in ((2, "height"), (3, "width"))
    }
    return ({axis: side if each == 1 else each * side for axis, side in sides.items()},)


def _facts(build: Build) -> dict[str, str]:
    half = build.options.plan if build.precision == "fp16" else None
    return add_hash({**build.metadata, **({"precision_plan_sha256": half.sha256} if half else {})})


def _save(converter: Any, path: Path, facts: Mapping[str, str]) -> None:
    runtime = require("coreai.runtime", extra=EXTRA)
    metadata = runtime.AIModelAssetMetadata()
    metadata.author = AUTHOR
    metadata.license = find_licence(facts)
    metadata.model_description = "Enlarges photos, tile by tile."
    for key, value in sorted(facts.items()):
        metadata.set_custom(key, value)
    try:
        with _silence():
            converter.to_coreai().save_asset(path, metadata=metadata)
    except (OSError, RuntimeError, ValueError) as error:
        raise BundleError(f"{path.name}: can't be made: {error}") from error


def _artifact(build: Build, path: Path, ports: FunctionPorts, facts: Mapping[str, str]) -> Artifact:
    files = paths.files_below(path, BundleError)
    program = next(file for file in files if file.suffix == ".mlirb")
    sides = build.model.chain.sides(ports.stage, build.options.tile)

    def port(field: Field, side: int) -> Port:
        shape = (1, field.channels, *(("H", "W") if ports.free else (side, side)))
        return Port(name=field.name, dtype="float32", shape=shape)

    return Artifact(
        target=FOLDER,
        stage=ports.stage,
        precision=build.precision,
        file=describe_file(build.bundle, program),
        data=tuple(describe_file(build.bundle, file) for file in files if file != program),
        inputs=(port(ports.reads, sides[0]),),
        outputs=(port(ports.gives, sides[1]),),
        options=CoreAIFacts(function=ports.name, bundle_sha256=facts["bundle_sha256"]),
    )


@contextlib.contextmanager
def _silence() -> Any:
    """Keep the converters' words off the screen."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


COREAI = Target(
    name=FOLDER,
    build=_build,
    check=_check,
    packages=("coreai-torch", "coreai-core"),
)
