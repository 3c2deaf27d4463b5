"""TSD-SR as a family: its preset, and the layouts of its checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from tinysr.errors import UnsupportedError
from tinysr.models.families.tsd_sr.config import FAMILY, PRESETS
from tinysr.models.families.tsd_sr.model import TsdSr
from tinysr.models.families.tsd_sr.released import is_released, read_released
from tinysr.models.families.tsd_sr.seeded import seed_tsd_sr
from tinysr.models.families.tsd_sr.single_file import is_single_file, read_single_file
from tinysr.models.family import (
    Family,
    Layout,
    OneStepModel,
    Published,
    ReadModel,
    ReadOptions,
)

__all__ = ["TSD_SR"]


def _make_meta(name: str) -> OneStepModel:
    with torch.device("meta"):
        return TsdSr(PRESETS[name]).eval()


def _reader(read: Callable[[Path], TsdSr]) -> Callable[[Path, ReadOptions], ReadModel]:
    def read_all(path: Path, options: ReadOptions) -> ReadModel:
        if options.layers is not None:
            raise UnsupportedError(f"{path}: layers can't be chosen from a checkpoint of TSD-SR")
        return ReadModel(model=read(path))

    return read_all


TSD_SR = Family(
    name=FAMILY,
    licence="Stability AI Community, of SD3-medium; code: Apache-2.0",
    presets=tuple(PRESETS),
    untrained=frozenset(PRESETS),
    load_preset=lambda name: seed_tsd_sr(PRESETS[name]),
    make_meta=_make_meta,
    layouts=(
        Layout(
            name="tsd-sr-released",
            sign="SD3's folders 'transformer' and 'vae', and a folder 'checkpoint' with 'tsdsr'",
            matches=is_released,
            read=_reader(read_released),
        ),
        Layout(
            name="tsd-sr-single-file",
            sign="a .safetensors file with a config of TSD-SR in its metadata",
            matches=is_single_file,
            read=_reader(read_single_file),
        ),
    ),
    published={
        "tsd-sr": Published(parameters=2112, macs=2700, source="TinySR, table 1"),
    },
)
