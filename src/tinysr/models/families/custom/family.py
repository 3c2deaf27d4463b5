"""Networks that somebody brings, as a family: a TOML file says what there is to know."""

from __future__ import annotations

from pathlib import Path

from tinysr import paths
from tinysr.errors import CheckpointError, UnsupportedError, choice_error
from tinysr.models.family import Family, Layout, OneStepModel, ReadModel, ReadOptions

from .load_custom import load_custom
from .model import FAMILY

__all__ = ["CUSTOM"]


def _matches(path: Path) -> bool:
    return path.suffix.lower() == ".toml" and paths.is_file(path, CheckpointError)


def _read(path: Path, options: ReadOptions) -> ReadModel:
    if options.layers is not None:
        raise UnsupportedError(f"{path}: layers can't be chosen from a network of your own")
    return ReadModel(model=load_custom(path, trust=options.trust))


def _refuse_preset(name: str) -> OneStepModel:
    raise choice_error("preset", name, ())


CUSTOM = Family(
    name=FAMILY,
    licence="the one that the .toml file names",
    presets=(),
    untrained=frozenset(),
    load_preset=_refuse_preset,
    make_meta=_refuse_preset,
    layouts=(
        Layout(
            name="toml", sign="a .toml file that describes a network", matches=_matches, read=_read
        ),
    ),
)
