"""What a target is: a name, a builder, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .baked import BakedTinySR
from .options import ExportOptions, Finish, Progress

__all__ = ["Build", "Target"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """One precision of a model, on its way into a bundle."""

    model: BakedTinySR
    """In the types of the precision. What a builder returns must not hold on to it: at full size
    it is 2 GB, which later steps need."""
    baked: BakedTinySR
    """In fp32, whatever the precision: for formats that put precisions into effect themselves."""
    bundle: Path
    """The bundle's folder, still in its temporary place."""
    options: ExportOptions
    precision: str
    """One of the bundle's precisions."""
    metadata: Mapping[str, str]
    """Texts for the metadata of what is built."""
    progress: Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A format that models are exported to."""

    name: str
    """As in ``Artifact.target``; its files lie in the bundle's folder of this name."""
    build: Callable[[Build], Finish]
    """Called once for each precision. Raises UnsupportedError for what the format can't hold."""
    check: Callable[[ExportOptions], None] = lambda _: None
    """Refuses, before anything is built, what the format or this machine can't do."""
    needs: tuple[str, ...] = ()
    """Targets that are built before it, because it is made from theirs."""
    packages: tuple[str, ...]
    """Distributions that build it: their versions stand in the manifest."""
