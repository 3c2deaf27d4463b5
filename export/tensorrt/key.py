"""Key of an engine, of all that it depends on: engines with one key may replace each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields

from tinysr.manifest import Artifact
from tinysr.runtime.tensorrt.device import find_gpu

from .flavor import Flavor
from .options import CURRENT, TensorRTOptions
from .profiles import Profile

__all__ = ["Key", "engine_key"]

_RECIPE = "1"
"""Version of the build, to raise when :mod:`.build` sets something else for the same options."""

_NO_PART = frozenset({"flavor", "batch", "sides", "timing_cache", "cache"})
"""Options that change no engine, or that stand in the key in another form."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """The parts, each with a name that people know."""

    name: str
    """Name of what is built: model, stage and precision. Not a part: it only helps to compare."""
    parts: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """The hash of all parts."""
        return hashlib.sha256(json.dumps(self.parts, sort_keys=True).encode()).hexdigest()

    def list_differing(self, others: Mapping[str, str]) -> list[str]:
        """Return the names of the parts that other ones don't share."""
        names = {**self.parts, **others}
        return [name for name in names if self.parts.get(name) != others.get(name)]


def engine_key(
    name: str,
    graph: Artifact,
    *,
    flavor: Flavor,
    options: TensorRTOptions,
    profile: Profile,
    plan_sha256: str,
) -> Key:
    """Return the key of an engine.

    Args:
        name: see :class:`Key`.
        graph: the ONNX graph, with the hashes of its files.
        flavor: with its version.
        options: build options.
        profile: the shapes.
        plan_sha256: of the precision plan; empty if there is none.
    """
    weights = "+".join(entry.sha256 for entry in graph.data)
    return Key(
        name=name,
        parts={
            "graph": graph.file.sha256,
            "weights": weights,
            "flavor": flavor.name,
            "version": flavor.version,
            **_machine(flavor, options),
            "shapes": f"{profile.name} {profile}",
            "plan": plan_sha256,
            **_list_chosen(options),
            "recipe": _RECIPE,
        },
    )


def _machine(flavor: Flavor, options: TensorRTOptions) -> dict[str, str]:
    """Return what matters of this machine: nothing where engines are built ahead of time."""
    if flavor.name == "rtx" and CURRENT not in options.compute_capabilities:
        return {}
    found = find_gpu()
    if found is None:
        return {"GPU": "none"}
    return {"GPU": found.name, "compute capability": found.capability, "driver": found.driver}


def _list_chosen(options: TensorRTOptions) -> dict[str, str]:
    names = [field.name for field in fields(options) if field.name not in _NO_PART]
    return {name.replace("_", " "): str(getattr(options, name)) for name in names}
