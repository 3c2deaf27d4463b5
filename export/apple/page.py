"""The page for mobile teams: a bundle's manifest → ``coreml/README.md``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath
from typing import Final

from tinysr.chain import Chain
from tinysr.errors import BundleError, require
from tinysr.facts import CoreMLFacts
from tinysr.manifest import Artifact, Manifest, Verdict
from tinysr.records import StrictRecord
from tinysr.stages import Tiles, Whole, Windows

__all__ = ["mobile_page"]

_WIDTH = 100
"""Characters of a line."""

_SUFFIX = ".mlpackage"

_NAME = "TinySR"
"""File name that TinySRKit looks for unless it is told otherwise."""

_SYSTEMS: Final = {
    "iOS17": "iOS 17, macOS 14",
    "iOS18": "iOS 18, macOS 15",
    "iOS26": "iOS 26, macOS 26",
}

_OURS = "The weights are this project's own, under Apache-2.0."
_SEEDED = (
    "The weights are seeded, not trained: for measuring, not for pictures. Trained weights of this "
    "architecture derive from Stable Diffusion 3 Medium, whose licence travels with them."
)
_THEIRS = (
    "The weights are those of a checkpoint, and its licence is theirs. Weights that derive from "
    "Stable Diffusion 3 Medium, as the released TinySR checkpoint's do, carry Stability AI's "
    "licence with them: read it before you ship them in an app."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Package:
    """A row of the table."""

    folder: str
    """Its file name."""
    precision: str
    system: str
    megabytes: str
    functions: str
    worst: str
    gate: str

    @property
    def name(self) -> str:
        return self.folder.removesuffix(_SUFFIX)


def mobile_page(manifest: Manifest) -> str:
    """Return the page in Markdown. Every figure in it stands in the manifest.

    Args:
        manifest: of a bundle with artifacts of the target coreml, after their gate.

    Raises:
        BundleError: the bundle has no Core ML package.
        MissingBackendError: jinja2 is not installed.
    """
    jinja2 = require("jinja2", extra="export")
    environment = jinja2.Environment(
        autoescape=False,  # Markdown would show the escapes
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(system=_system, named=_name_argument)
    environment.filters["wrapped"] = _wrap
    groups = _packages(manifest)
    packages = [_row(folder, group) for folder, group in groups.items()]
    chain = manifest.chain
    halos = _find_surroundings(chain)
    around = max(halos, default=0)
    inner = manifest.tile - 2 * around
    graphs = len(chain.graphs)
    staged = graphs > 1 and any(len(group) == graphs for group in groups.values())
    template = environment.from_string(_template())
    page: str = template.render(
        manifest=manifest,
        packages=packages,
        first=packages[0],
        measured=_describe_verdicts(groups),
        staged=staged,
        whole=_list_stages(chain, Whole),
        windowed=_list_stages(chain, Windows),
        tiled=_list_stages(chain, Tiles),
        around=around,
        together=sum(halos),
        scale=chain.scale,
        inner=inner,
        cost=f"{(manifest.tile / inner) ** 2:.1f}" if inner > 0 else "",
        licence=_licence(manifest),
    )
    return page


def _find_surroundings(chain: Chain) -> list[int]:
    """Return the pixels around what a window gives that it depends on, by stages of windows."""
    return [
        chain.pixels(stage, -(-stage.division.halo // stage.align) * stage.align)
        for stage in chain.stages
        if isinstance(stage.division, Windows)
    ]


def _list_stages(chain: Chain, kind: type[StrictRecord]) -> str:
    """Return the names of the stages that are divided in one way, for a sentence."""
    names = [f"`{stage.name}`" for stage in chain.stages if isinstance(stage.division, kind)]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _template() -> str:
    return (resources.files(__package__ or "") / "page.md.j2").read_text(encoding="utf-8")


def _packages(manifest: Manifest) -> dict[str, list[Artifact]]:
    """Group a bundle's Core ML artifacts by their package; the one that apps take is first."""
    groups: dict[str, list[Artifact]] = {}
    for artifact in manifest.artifacts:
        if artifact.target == "coreml":
            groups.setdefault(_folder(artifact), []).append(artifact)
    if not groups:
        raise BundleError(
            f"{manifest.name}: expected a Core ML package, found none; export it with -t coreml"
        )
    return dict(sorted(groups.items(), key=lambda item: item[0] != _NAME + _SUFFIX))


def _folder(artifact: Artifact) -> str:
    for part in PurePosixPath(artifact.file.path).parts:
        if part.endswith(_SUFFIX):
            return part
    raise BundleError(
        f"{artifact.label}: expected a file of a package {_SUFFIX}, found {artifact.file.path}"
    )


def _row(folder: str, group: list[Artifact]) -> _Package:
    """Describe a package; its functions share their files."""
    files = {entry.path: entry.size for a in group for entry in (a.file, *a.data)}
    gates = [a.parity.gate_db for a in group if a.parity.gate_db is not None]
    return _Package(
        folder=folder,
        precision=group[0].precision,
        system=group[0].facts(CoreMLFacts).minimum_deployment_target,
        megabytes=f"{sum(files.values()) / 1e6:.1f}",
        functions=", ".join(a.facts(CoreMLFacts).function for a in group),
        worst=_find_worst([a.parity for a in group]),
        gate=f"{max(gates):.0f} dB" if gates else "not measured",
    )


def _find_worst(verdicts: Iterable[Verdict]) -> str:
    verdicts = list(verdicts)
    failed = [verdict for verdict in verdicts if verdict.result == "fail"]
    mark = ", **failed**" if failed else ""
    for verdict in failed:
        if verdict.worst_db is None:  # equal ones pass
            return f"not finite ({verdict.worst_image}){mark}"
    if not failed and any(verdict.result == "not run" for verdict in verdicts):
        return "not measured"
    found = [verdict for verdict in verdicts if verdict.worst_db is not None]
    if not found:
        return "equal"
    worst = min(found, key=lambda verdict: verdict.worst_db or 0.0)
    return f"{worst.worst_db:.1f} dB ({worst.worst_image}){mark}"


def _describe_verdicts(groups: dict[str, list[Artifact]]) -> list[str]:
    """Say of each package what its verdicts rest on."""
    lines: list[str] = []
    for folder, group in groups.items():
        run = [artifact.parity for artifact in group if artifact.parity.result != "not run"]
        if not run:
            lines.append(f"`{folder}`: its numbers were not measured.")
            continue
        where = ", ".join(dict.fromkeys(verdict.backend for verdict in run))
        notes = "; ".join(dict.fromkeys(verdict.note for verdict in run if verdict.note))
        images = max(verdict.images for verdict in run)
        lines.append(
            f"`{folder}`: {len(run)} of {len(group)} functions on {images} images of one tile, by "
            f"the backend {where}{f' ({notes})' if notes else ''}."
        )
    return lines


def _licence(manifest: Manifest) -> str:
    if manifest.source.kind != "preset":
        return _THEIRS
    return _OURS if manifest.source.trained else _SEEDED


def _system(name: str) -> str:
    return _SYSTEMS.get(name, name)


def _name_argument(name: str) -> str:
    return "" if name == _NAME else f'named: "{name}"'


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)
