"""TinySR as a family: its presets, and the layouts of its checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path

from tinysr.errors import CheckpointError
from tinysr.models.families.tinysr.accounting import meta_model
from tinysr.models.families.tinysr.layout import CheckpointLayout, assemble
from tinysr.models.families.tinysr.presets import PRESETS, UNTRAINED
from tinysr.models.families.tinysr.released import RELEASED
from tinysr.models.families.tinysr.sd3 import SD3
from tinysr.models.families.tinysr.seeded import seed_model
from tinysr.models.families.tinysr.single_file import SINGLE_FILE
from tinysr.models.family import (
    Family,
    Layout,
    OneStepModel,
    Published,
    ReadModel,
    ReadOptions,
)

__all__ = ["TINYSR"]

_LAYOUTS: tuple[CheckpointLayout, ...] = (SINGLE_FILE, RELEASED, SD3)
"""Layouts in the order in which a path is tried: a released folder may hold other folders beside
its own, so it is asked for before the plain pair of folders."""


def _load_preset(name: str) -> OneStepModel:
    if name in UNTRAINED:
        return seed_model(PRESETS[name])
    packaged = resources.files("tinysr.models") / "weights" / f"{name}.safetensors"
    if not packaged.is_file():  # a resource, not a path
        raise CheckpointError(
            f"the weights of '{name}' are missing from this installation: install tinysr again"
        )
    with resources.as_file(packaged) as path:
        checkpoint = SINGLE_FILE.read(path, None)
        if checkpoint.config != PRESETS[name]:
            raise CheckpointError(f"{path}: the packaged weights are not those of '{name}'")
        return assemble(checkpoint.config, checkpoint.tensors, path)


def _is_first(path: Path, place: int) -> bool:
    """Tell whether a path has a layout and none of those before it."""
    first = next((n for n, layout in enumerate(_LAYOUTS) if layout.matches(path)), None)
    return first == place


def _read(layout: CheckpointLayout, path: Path, options: ReadOptions) -> ReadModel:
    checkpoint = layout.read(path, options.layers)
    model = assemble(checkpoint.config, checkpoint.tensors, path)
    return ReadModel(model=model, lora_sha256=checkpoint.lora_sha256)


def _matcher(place: int) -> Callable[[Path], bool]:
    return partial(_is_first, place=place)


TINYSR = Family(
    name="tinysr",
    licence="Stability AI Community, of SD3-medium; tinysr-nano: Apache-2.0",
    presets=tuple(PRESETS),
    untrained=UNTRAINED,
    load_preset=_load_preset,
    make_meta=lambda name: meta_model(PRESETS[name]),
    layouts=tuple(
        Layout(
            name=layout.name,
            sign=layout.sign,
            matches=_matcher(place),
            read=partial(_read, layout),
        )
        for place, layout in enumerate(_LAYOUTS)
    ),
    published={
        "tinysr": Published(parameters=341, macs=427, source="TinySR, table 1"),
    },
)
