"""Base of targets: a name, a builder, and the options it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinysr.chain import Chain
from tinysr.manifest import Artifact

from .model.baked import Baked
from .options import ExportOptions, Finish, Plan, TargetSettings, TellStep

__all__ = ["Build", "GraphBuild", "Target"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """One precision of a model, on its way into a bundle."""

    model: Baked
    """Model in the types of the precision. A builder's result must not hold on to it: at full size
    it is 2 GB, which later steps need."""
    baked: Baked
    """Model in fp32, whatever the precision: for formats that put precisions into effect
    themselves."""
    bundle: Path
    """The bundle's folder, still in its temporary place."""
    options: ExportOptions
    precision: str
    """One of the bundle's precisions."""
    metadata: Mapping[str, str]
    """Texts for the metadata of what is built."""
    progress: TellStep


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphBuild:
    """A bundle's ONNX graphs, on their way into another format. The model is not needed."""

    bundle: Path
    """The bundle's folder, still in its temporary place."""
    source: str
    """The checkpoint's name."""
    chain: Chain
    """Stages that the graphs are of."""
    tile: int
    """Side of a tile in low-resolution pixels."""
    graphs: tuple[Artifact, ...]
    """Graphs in all precisions that were asked for, their files in the bundle."""
    plans: Mapping[str, Plan]
    """Plans by their names, which are those of precisions, except for Core ML's own."""
    settings: TargetSettings
    progress: TellStep


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A format that models are exported to."""

    name: str
    """Name of the target, as in ``Artifact.target``; its files lie in the bundle's folder of this
    name."""
    build: Callable[[Build], Finish] | None = None
    """Builder, called once for each precision. Raises UnsupportedError for what the format can't
    hold. None for what is built from graphs alone."""
    from_graphs: Callable[[GraphBuild], tuple[Artifact, ...]] | None = None
    """Builder, called once, after the ONNX graphs; also for a bundle that has them already."""
    check: Callable[[TargetSettings, Sequence[str]], None] = lambda settings, precisions: None
    """Refuses settings and precisions before minutes are spent."""
    documents: Callable[[Path], object] | None = None
    """Writer of what people read, called with the bundle when its manifest has the gate's
    verdicts."""
    needs: tuple[str, ...] = ()
    """Targets that are built before it, because it is made from theirs."""
    packages: tuple[str, ...]
    """Distributions that build it: their versions stand in the manifest."""
