"""Checkpoint → bundle: bake, prove, build every target, gate, and put it in place."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from tinysr import paths
from tinysr.chain import Chain
from tinysr.errors import UnsupportedError
from tinysr.manifest import (
    MANIFEST_NAME,
    Artifact,
    BakeProof,
    FileEntry,
    Host,
    Manifest,
    read_manifest,
    to_json,
)
from tinysr.models import Loaded, OneStepModel
from tinysr.stages import WHOLE

from .bake import bake, prove_output, run_stages
from .files import describe_file, replace_whole
from .gate import Gate, hold
from .model.apply_plan import apply_plan
from .model.baked import Baked
from .model.equalise import equalise
from .onnx.graph import example_input
from .options import PRECISIONS, ExportOptions, Finish, TellStep
from .plans.files import format_any_plan, plan_name
from .plans.quantization import PLANNED, QuantizationPlan
from .target import Build, GraphBuild, Target
from .targets import find_targets

__all__ = ["export_bundle"]

_TOOLS = ("tinysr", "torch", "numpy")

_PLANS = "calibration"

_HALF = ("fp16", "int8")
"""Precisions in which what is not quantized is in fp16, as the precision plan says."""


def export_bundle(
    loaded: Loaded,
    target: Path,
    options: ExportOptions,
    *,
    gate: Gate | None = None,
    overwrite: bool = False,
    consume: bool = False,
    progress: TellStep = lambda _: None,
) -> Manifest:
    """Make a bundle. It is complete under its name, or absent.

    Args:
        loaded: the eager model and where it came from.
        target: the bundle's folder.
        options: targets, precision, tile and batch.
        gate: what decides whether the bundle may be put in place; its verdicts are its to write.
        overwrite: replace an older bundle.
        consume: whether the eager model may be taken apart, as :func:`bake` does it.
        progress: told what is being done.

    Raises:
        GateError: a proof or the gate failed. When it was the gate, the bundle is kept as
            ``<target>.rejected``, for whoever must find out why.
        BundleError: ``target`` is taken or can't be written.
        UnsupportedError: an option is unknown, or a precision is asked for without a plan.
        CalibrationError: the plan is another model's, or names modules that this one lacks.
    """
    targets = find_targets(options.targets)
    for chosen in targets:
        chosen.check(options.settings, PRECISIONS[options.precision])
    if missing := options.list_missing():
        raise UnsupportedError(
            f"{missing[0]} needs a precision plan, found none: make one with `tinysr calibrate`"
        )
    for plan in options.plans:
        plan.for_model(loaded.source.sha256)
    with replace_whole(target, overwrite=overwrite) as work:
        _build(loaded, work, paths.show_name(target), options, progress, consume=consume)
        if gate is not None:
            hold(gate, work, target)
        for made in targets:
            if made.documents is not None:
                made.documents(work)
    return read_manifest(target)  # with the gate's verdicts


def _build(
    loaded: Loaded,
    work: Path,
    name: str,
    options: ExportOptions,
    progress: TellStep,
    *,
    consume: bool,
) -> None:
    baked, proof = _bake(loaded.model, options.tile, progress, consume=consume)
    plans = _write_plans(work, options)
    targets = find_targets(options.targets)
    finishes: list[Finish] = []
    for precision in PRECISIONS[options.precision]:
        build = Build(
            model=_cast(baked, options, precision),
            baked=baked,
            bundle=work,
            options=options,
            precision=precision,
            metadata=_metadata(loaded, baked, options, precision),
            progress=progress,
        )
        finishes += [target.build(build) for target in targets if target.build]
    chain = baked.chain
    del baked, build  # at full size 2 GB, which checking the graphs needs
    artifacts = tuple(artifact for finish in finishes for artifact in finish())
    graphs = GraphBuild(
        bundle=work,
        source=loaded.source.name,
        chain=chain,
        tile=options.tile,
        graphs=tuple(artifact for artifact in artifacts if artifact.target == "onnx"),
        plans={plan.name: plan for plan in options.plans},
        settings=options.settings,
        progress=progress,
    )
    for target in targets:
        artifacts += target.from_graphs(graphs) if target.from_graphs else ()
    manifest = _manifest(
        loaded,
        name,
        options,
        chain=chain,
        proof=proof,
        plans=plans,
        artifacts=artifacts,
        targets=targets,
    )
    (work / MANIFEST_NAME).write_text(to_json(manifest), encoding="utf-8")


@torch.no_grad()
def _bake(
    model: OneStepModel, tile: int, progress: TellStep, *, consume: bool
) -> tuple[Baked, BakeProof]:
    """Bake a model, and hold it against what the eager one computed before."""
    progress("computing an image with the eager model")
    chain = model.chain(tile)
    image = example_input(chain, WHOLE, tile, 1)
    expected = run_stages(model, chain, image)
    progress("baking the constants")
    baked = bake(model, tile, consume=consume)
    progress("comparing the baked model with the eager one")
    return baked, prove_output(expected, baked, image)


def _cast(baked: Baked, options: ExportOptions, precision: str) -> Baked:
    plan = options.plan_for(precision)
    if isinstance(plan, QuantizationPlan):
        baked = equalise(baked, plan.equalise)
    half = options.plan if precision in _HALF else None
    return apply_plan(baked, half) if half else baked


def _write_plans(work: Path, options: ExportOptions) -> dict[str, FileEntry]:
    """Write all plans; fp32 needs none. Returned by their names."""
    entries: dict[str, FileEntry] = {}
    for plan in options.plans:
        path = work / _PLANS / plan_name(plan.name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(format_any_plan(plan), encoding="utf-8")
        entries[plan.name] = describe_file(work, path)
    return entries


def _manifest(
    loaded: Loaded,
    name: str,
    options: ExportOptions,
    *,
    chain: Chain,
    proof: BakeProof,
    plans: Mapping[str, FileEntry],
    artifacts: tuple[Artifact, ...],
    targets: Sequence[Target],
) -> Manifest:
    model = loaded.model
    tools = dict.fromkeys((*_TOOLS, *(name for target in targets for name in target.packages)))
    return Manifest(
        name=name,
        family=model.facts["family"],
        config=model.facts,
        chain=chain,
        tile=options.tile,
        source=loaded.source,
        bake=proof,
        precision_plan=plans.get("fp16"),
        quantization_plans={name: plans[name] for name in PLANNED if name in plans},
        artifacts=artifacts,
        tools={tool: importlib.metadata.version(tool) for tool in tools},
        host=Host(
            system=platform.system(), machine=platform.machine(), python=platform.python_version()
        ),
    )


def _metadata(
    loaded: Loaded, baked: Baked, options: ExportOptions, precision: str
) -> dict[str, str]:
    """Return what a graph says of itself; apps divide images by it, without the manifest."""
    plan, source = options.plan_for(precision), loaded.source
    return ({"plan_sha256": plan.sha256} if plan else {}) | {
        "chain": baked.chain.model_dump_json(),
        "checkpoint": source.name,
        "checkpoint_kind": source.kind,
        "checkpoint_sha256": source.sha256,
        "precision": precision,
        "scale": str(baked.chain.scale),
        "tile": str(options.tile),
    }
