"""TSD-SR as a family: its preset, and the layouts of its checkpoints."""

from __future__ import annotations

import torch

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
    read_all_layers,
)

__all__ = ["TSD_SR"]


def _make_meta(name: str) -> OneStepModel:
    with torch.device("meta"):
        return TsdSr(PRESETS[name]).eval()


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
            read=read_all_layers(read_released, "a checkpoint of TSD-SR"),
        ),
        Layout(
            name="tsd-sr-single-file",
            sign="a .safetensors file with a config of TSD-SR in its metadata",
            matches=is_single_file,
            read=read_all_layers(read_single_file, "a checkpoint of TSD-SR"),
        ),
    ),
    published={
        "tsd-sr": Published(parameters=2112, macs=2700, source="TinySR, table 1"),
    },
)
