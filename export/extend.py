"""A bundle → the same bundle with formats that are built from its ONNX graphs.

The graphs are there, and passed their gate; neither the model nor the checkpoint is needed. So a
bundle is made once, and its engines wherever they are to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinysr import paths
from tinysr.atomic import share
from tinysr.errors import BundleError, UnsupportedError
from tinysr.manifest import MANIFEST_NAME, Artifact, FileEntry, Manifest, read_manifest, to_json
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.integrity import find_fault

from .files import replace_whole
from .gate import Gate, hold
from .options import PRECISIONS, Plan, TargetSettings, TellStep, check_precision
from .plans.files import load_any_plan
from .target import GraphBuild, Target
from .targets import find_targets

__all__ = ["Extension", "extend_bundle"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Extension:
    """Formats that are added to a bundle."""

    targets: tuple[str, ...]
    """Names of targets that are built from graphs."""
    precision: str
    """One of :data:`PRECISIONS`: the bundle has its graphs."""
    settings: TargetSettings

    def __post_init__(self) -> None:
        check_precision(self.precision)


def extend_bundle(
    bundle: Bundle,
    place: Path,
    extension: Extension,
    *,
    gate: Gate | None = None,
    overwrite: bool = False,
    progress: TellStep = lambda _: None,
) -> Manifest:
    """Make a bundle with more formats. It is complete under its name, or absent.

    Args:
        bundle: has the graphs. It stays as it is, unless it stands at ``place``.
        place: the new bundle's folder; it may be the old one's.
        extension: what to build.
        gate: as for :func:`~tinysr.export.bundle.export_bundle`, of the new artifacts.
        overwrite: replace a bundle at ``place``.
        progress: told what is being done.

    Raises:
        BundleError: the bundle is damaged or lacks the graphs, or ``place`` is taken.
        UnsupportedError: a target needs the model, or lacks an option.
        GateError: an artifact failed a check. When it was the gate's, the bundle is kept as
            ``<place>.rejected``.
    """
    targets = _select_targets(extension.targets)
    for target in targets:
        target.check(extension.settings, PRECISIONS[extension.precision])
    graphs = _check_graphs(bundle, extension.precision)
    names = {target.name for target in targets}
    with replace_whole(place, overwrite=overwrite) as work:
        kept = tuple(a for a in bundle.artifacts() if a.target not in names)
        _share_files(bundle, work, kept)
        build = GraphBuild(
            bundle=work,
            source=bundle.manifest.source.name,
            chain=bundle.manifest.chain,
            tile=bundle.manifest.tile,
            graphs=graphs,
            plans=_plans(bundle, extension.precision),
            settings=extension.settings,
            progress=progress,
        )
        new = tuple(a for target in targets for a in (target.from_graphs or _build_nothing)(build))
        manifest = bundle.manifest.model_copy(update={"artifacts": (*kept, *new)})
        (work / MANIFEST_NAME).write_text(to_json(manifest), encoding="utf-8")
        if gate is not None:
            hold(gate, work, place)
    return read_manifest(place)


def _build_nothing(_: GraphBuild) -> tuple[Artifact, ...]:
    return ()


def _select_targets(names: Sequence[str]) -> list[Target]:
    wanted = [target for target in find_targets(names) if target.name in names]
    for target in wanted:
        if target.from_graphs is None:
            raise UnsupportedError(
                f"the target {target.name} is made from the model: give the checkpoint or preset "
                "in place of a bundle"
            )
    return wanted


def _check_graphs(bundle: Bundle, precision: str) -> tuple[Artifact, ...]:
    """Return the graphs of a precision, once their files are as described and none has failed."""
    have = bundle.artifacts("onnx")
    found = tuple(a for a in have if a.precision in PRECISIONS[precision])
    if lacking := set(PRECISIONS[precision]) - {a.precision for a in found}:
        known = ", ".join(dict.fromkeys(a.precision for a in have)) or "none"
        raise BundleError(
            f"{bundle.folder}: expected graphs in {', '.join(sorted(lacking))}, found {known}: "
            f"export the model with --precision {precision}"
        )
    for name in PRECISIONS[precision]:
        stages = {graph.stage for graph in found if graph.precision == name}
        if missing := [stage for stage in bundle.manifest.chain.graphs if stage not in stages]:
            raise BundleError(
                f"{bundle.folder}: expected a graph in {name} of every stage, found none of "
                f"{', '.join(missing)}: export the model again"
            )
    for graph in found:
        bundle.path(graph)
        if graph.parity.result == "fail":
            raise BundleError(f"{bundle.folder}: {graph.label} failed parity: export it again")
    return found


def _plans(bundle: Bundle, precision: str) -> dict[str, Plan]:
    manifest = bundle.manifest
    entries = dict(manifest.quantization_plans)
    if manifest.precision_plan is not None:
        entries["fp16"] = manifest.precision_plan
    return {
        name: load_any_plan(_check_source(bundle, entry))
        for name, entry in entries.items()
        if name in PRECISIONS[precision]
    }


def _check_source(bundle: Bundle, entry: FileEntry) -> Path:
    path = bundle.folder / entry.path
    if fault := find_fault(bundle.folder, entry):
        raise BundleError(f"{path}: {fault.words}")
    return path


def _share_files(bundle: Bundle, work: Path, artifacts: Sequence[Artifact]) -> None:
    """Put the old bundle's files into the new one; on one disk they are the same files."""
    manifest = bundle.manifest
    plans = [manifest.precision_plan, *manifest.quantization_plans.values()]
    entries = {e.path for a in artifacts for e in (a.file, *a.data)}
    entries |= {entry.path for entry in (*plans, *manifest.documents) if entry is not None}
    reports = paths.find_matching(bundle.folder / "reports", "*", BundleError)
    entries |= {
        report.relative_to(bundle.folder).as_posix()
        for report in reports
        if paths.is_file(report, BundleError)
    }
    for name in sorted(entries):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        share(bundle.folder, name, work / name)
