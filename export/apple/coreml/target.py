"""The CoreML target: ``coreml/TinySR.mlpackage`` in a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tinysr.chain import Chain
from tinysr.errors import UnsupportedError
from tinysr.export.model.integers import find_layers
from tinysr.export.options import Finish, TargetSettings
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.export.plans.quantization import Format, QuantizationPlan
from tinysr.export.target import Build, Target
from tinysr.facts import CoreMLFacts
from tinysr.manifest import Artifact, Port
from tinysr.stages import Field

from ..documents import add_mobile_documents
from ..ports import FunctionPorts, list_functions, package_name
from .ane import lay_out_for_ane
from .compress import COMPRESSED, PALETTES_SINCE
from .convert import Recipe, convert_stage
from .options import CoreMLOptions
from .package import add_hash, describe, package_files, save
from .prepare import prepare
from .rounding import PALETTES
from .tools import coremltools
from .windows import window_sides

__all__ = ["COREML", "FOLDER"]

FOLDER: Final = "coreml"

_FUNCTIONS_SINCE = "iOS18"
"""Deployment target since which a package may have several functions."""

_HALF = "fp16"


def _check(settings: TargetSettings, precisions: Sequence[str]) -> None:
    """Refuse what no package can be made for, before anything is built."""
    systems, own = _systems(), _options(settings)
    own.check_system(systems)
    if {*precisions} - {"fp32"} == {"int8"}:
        raise UnsupportedError(
            "coreml can't make int8: ranges of activations are measured by Core ML, on a Mac: "
            f"expected one of fp32, fp16, {', '.join(COMPRESSED)}"
        )
    old = systems[own.system] < systems[PALETTES_SINCE]
    if old and not {*PALETTES}.isdisjoint(precisions):
        raise UnsupportedError(
            f"palettes of channel groups need {PALETTES_SINCE}, found "
            f"{own.deployment_target}: add --minimum-deployment-target {PALETTES_SINCE}"
        )


def _options(settings: TargetSettings) -> CoreMLOptions:
    options = settings.get(FOLDER, CoreMLOptions())
    if not isinstance(options, CoreMLOptions):
        raise TypeError(f"expected CoreMLOptions for {FOLDER}, found {type(options).__name__}")
    return options


def _systems() -> dict[str, int]:
    return {target.name: target.value for target in coremltools().target}


def _build(build: Build) -> Finish:
    asked = build.options.precision
    if build.precision == "fp32" and asked not in ("fp32", "all"):
        return tuple  # it is for the targets that make others from it
    if build.precision == "int8":
        build.progress("no CoreML package in int8: ranges of activations need a Mac")
        return tuple
    own = _options(build.options.settings)
    own.check_tiles(build.options.tile, build.model.chain.multiple)
    functions = _functions(own, build.baked.chain)
    recipe = _recipe(build)
    models = {}
    model = prepare(build.baked)
    if own.layout == "ane":
        model = lay_out_for_ane(model)
    for ports in functions:
        build.progress(f"converting '{ports.name}' to CoreML in {build.precision}")
        models[ports.name] = convert_stage(model, ports, recipe)
    path = build.bundle / FOLDER / package_name(build.precision)
    path.parent.mkdir(exist_ok=True)
    build.progress(f"writing {path.name}")
    save(models, path)
    facts = _facts(build, recipe)
    describe(path, facts, _image_sides(functions, recipe, build.baked.chain.scale))
    artifacts = tuple(_artifact(build, path, ports, recipe, facts) for ports in functions)
    return lambda: artifacts


def _functions(options: CoreMLOptions, chain: Chain) -> tuple[FunctionPorts, ...]:
    systems = _systems()
    several = systems[options.system] >= systems[_FUNCTIONS_SINCE]
    functions = list_functions(chain)
    return functions if several else functions[:1]


def _recipe(build: Build) -> Recipe:
    options = build.options
    plan = options.plan_for(_HALF)
    if build.precision != "fp32" and not isinstance(plan, PrecisionPlan):
        raise UnsupportedError(
            f"coreml in {build.precision} computes in fp16 and needs a precision plan, found none: "
            "make one with `tinysr calibrate`"
        )
    return Recipe(
        tile=options.tile,
        system=_options(options.settings).system,
        plan=plan if build.precision != "fp32" and isinstance(plan, PrecisionPlan) else None,
        formats=_formats(build),
        tiles=_options(options.settings).tiles,
        windows=window_sides(build.baked.chain, options.tile),
    )


def _formats(build: Build) -> Mapping[str, Format]:
    """Return the layers whose weights are compressed, as the plan in Core ML's formats says."""
    if build.precision not in COMPRESSED:
        return {}
    plan = build.options.plan_for(build.precision, FOLDER)
    if not isinstance(plan, QuantizationPlan):
        raise UnsupportedError(
            f"coreml in {build.precision} needs a quantization plan in its own formats, found "
            f"none: make one with `tinysr calibrate --precision {build.precision} --target coreml`"
        )
    return plan.formats(find_layers(build.baked))


def _facts(build: Build, recipe: Recipe) -> dict[str, str]:
    """Return all that decides what is in a package, and the hash of it."""
    own = _options(build.options.settings)
    weights = build.options.plan_for(build.precision, FOLDER)
    plans = {"plan_sha256": weights, "precision_plan_sha256": recipe.plan}
    return add_hash(
        {
            **build.metadata,
            **{name: plan.sha256 for name, plan in plans.items() if plan},
            "minimum_deployment_target": recipe.system,
            "layout": own.layout,
            "tiles": _sides(recipe.tile, *recipe.tiles),
            "windows": _sides(recipe.tile, *recipe.windows),
        }
    )


def _image_sides(
    functions: tuple[FunctionPorts, ...], recipe: Recipe, scale: int
) -> dict[str, tuple[int, ...]]:
    """Return the sides of the images that functions give, of those that choose from sizes."""
    return {
        ports.name: tuple(scale * side for side in (recipe.tile, *further))
        for ports in functions
        if ports.gives_image and (further := recipe.list_further_sides(ports))
    }


def _sides(*sides: int) -> str:
    return " ".join(map(str, sides))


def _artifact(
    build: Build, path: Path, ports: FunctionPorts, recipe: Recipe, facts: Mapping[str, str]
) -> Artifact:
    file, others = package_files(build.bundle, path)
    own = _options(build.options.settings)
    chain = build.baked.chain
    several = len(_functions(own, chain)) > 1
    further = recipe.list_further_sides(ports)
    sides = (recipe.tile, *further) if further else ()
    into, out = _shapes(chain, ports, build.options.tile, free=bool(further))
    return Artifact(
        target=FOLDER,
        stage=ports.stage,
        precision=build.precision,
        file=file,
        data=others,
        inputs=(Port(name=ports.input, dtype="float32", shape=into),),
        outputs=(Port(name=ports.output, dtype="float32", shape=out),),
        options=CoreMLFacts(
            layout=own.layout,
            function=ports.name if several else "main",
            minimum_deployment_target=recipe.system,
            bundle_sha256=facts["bundle_sha256"],
            clamped=ports.gives_image,
            tiles=() if ports.free else sides,
            windows=sides if ports.free else (),
        ),
    )


PortShape = tuple[int | str, ...]


def _shapes(
    chain: Chain, ports: FunctionPorts, tile: int, *, free: bool
) -> tuple[PortShape, PortShape]:
    """Return the shapes of a function's input and output, sides by name where there is a choice."""
    into, out = chain.sides(ports.stage, tile)

    def shape(field: Field, side: int) -> PortShape:
        return (1, field.channels, *(("H", "W") if free else (side, side)))

    return shape(ports.reads, into), shape(ports.gives, out)


COREML = Target(
    name=FOLDER,
    build=_build,
    check=_check,
    documents=add_mobile_documents,
    packages=("coremltools",),
)
