"""The CoreML target: ``coreml/TinySR.mlpackage`` in a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinysr.errors import UnsupportedError
from tinysr.manifest import Artifact, Port

from ..options import ExportOptions, Finish
from ..precision import PrecisionPlan
from ..target import Build, Target
from .convert import converted
from .package import bundle_sha256, described, package_files, save
from .ports import FUNCTIONS, FunctionPorts, package_name
from .tools import coremltools

__all__ = ["COREML", "FOLDER"]

FOLDER = "coreml"


def _check(options: ExportOptions) -> None:
    """Refuse what no package can be made for, before anything is built."""
    ct = coremltools()
    options.coreml.check_system({target.name: target.value for target in ct.target})


def _build(build: Build) -> Finish:
    if build.precision == "fp32" and build.options.precision not in ("fp32", "all"):
        return tuple  # apps take the precision that was asked for; nothing is made from fp32
    options = build.options.coreml
    ports = FUNCTIONS[0]
    build.progress(f"converting the {ports.stage} to CoreML in {build.precision}")
    plan = build.options.plan_for(build.precision)
    if plan is not None and not isinstance(plan, PrecisionPlan):
        raise UnsupportedError("no")
    model = converted(build.baked, ports, tile=build.options.tile, plan=plan, system=options.system)
    path = build.bundle / FOLDER / package_name(build.precision)
    path.parent.mkdir(exist_ok=True)
    save(described(model, build.metadata, {"minimum_deployment_target": options.system}), path)
    artifacts = (_artifact(build, path, ports, model),)
    return lambda: artifacts


def _artifact(build: Build, path: Path, ports: FunctionPorts, model: Any) -> Artifact:
    file, others = package_files(build.bundle, path)
    description = model.get_spec().description
    tile, scale = build.options.tile, 4
    return Artifact(
        target=FOLDER,
        stage=ports.stage,
        precision=build.precision,
        file=file,
        data=others,
        inputs=(Port(name=ports.input, dtype="float32", shape=(1, 3, tile, tile)),),
        outputs=(
            Port(name=ports.output, dtype="float32", shape=(1, 3, scale * tile, scale * tile)),
        ),
        options={
            "function": description.defaultFunctionName or "main",
            "minimum_deployment_target": build.options.coreml.system,
            "bundle_sha256": bundle_sha256(build.metadata),
            "clamped": True,
        },
    )


COREML = Target(
    name=FOLDER,
    build=_build,
    check=_check,
    packages=("coremltools",),
)
