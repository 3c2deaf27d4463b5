"""SANA-SR as a family: its preset, and the layouts of its checkpoints."""

from __future__ import annotations

import torch

from tinysr.models.families.sana_sr.config import FAMILY, PRESETS
from tinysr.models.families.sana_sr.folder import is_folder, read_folder
from tinysr.models.families.sana_sr.model import SanaSR
from tinysr.models.families.sana_sr.seeded import seed_sana_sr
from tinysr.models.families.sana_sr.single_file import is_single_file, read_single_file
from tinysr.models.family import (
    Family,
    Layout,
    OneStepModel,
    Published,
    read_all_layers,
)

__all__ = ["SANA_SR"]


def _make_meta(name: str) -> OneStepModel:
    with torch.device("meta"):
        return SanaSR(PRESETS[name]).eval()


SANA_SR = Family(
    name=FAMILY,
    licence="none released; Sana's weights are for non-commercial use",
    presets=tuple(PRESETS),
    untrained=frozenset(PRESETS),
    load_preset=lambda name: seed_sana_sr(PRESETS[name]),
    make_meta=_make_meta,
    layouts=(
        Layout(
            name="sana-sr-folder",
            sign="a file sana_sr.json beside diffusers' 'transformer' and 'vae'",
            matches=is_folder,
            read=read_all_layers(read_folder, "a checkpoint of SANA-SR"),
        ),
        Layout(
            name="sana-sr-single-file",
            sign="a .safetensors file with a config of SANA-SR in its metadata",
            matches=is_single_file,
            read=read_all_layers(read_single_file, "a checkpoint of SANA-SR"),
        ),
    ),
    published={
        "sana-sr": Published(
            parameters=344,
            macs=407.95,
            source="SANA-SR, abstract",
            note="not verifiable: no release; the parts here are unpruned",
        ),
    },
)
