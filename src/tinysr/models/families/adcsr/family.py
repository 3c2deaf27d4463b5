"""AdcSR as a family: its preset, and the layouts of its checkpoints."""

from __future__ import annotations

import torch

from tinysr.models.families.adcsr.config import FAMILY, PRESETS
from tinysr.models.families.adcsr.model import AdcSR
from tinysr.models.families.adcsr.released import is_released, read_released
from tinysr.models.families.adcsr.seeded import seed_adcsr
from tinysr.models.families.adcsr.single_file import is_single_file, read_single_file
from tinysr.models.family import (
    Family,
    Layout,
    OneStepModel,
    Published,
    read_all_layers,
)

__all__ = ["ADCSR"]


def _make_meta(name: str) -> OneStepModel:
    with torch.device("meta"):
        return AdcSR(PRESETS[name]).eval()


ADCSR = Family(
    name=FAMILY,
    licence="OpenRAIL++-M, of Stable Diffusion 2.1",
    presets=tuple(PRESETS),
    untrained=frozenset(PRESETS),
    load_preset=lambda name: seed_adcsr(PRESETS[name]),
    make_meta=_make_meta,
    layouts=(
        Layout(
            name="adcsr-released",
            sign="a file net_params_….pkl, and halfDecoder.ckpt in 'pretrained'",
            matches=is_released,
            read=read_all_layers(read_released, "a checkpoint of AdcSR"),
        ),
        Layout(
            name="adcsr-single-file",
            sign="a .safetensors file with a config of AdcSR in its metadata",
            matches=is_single_file,
            read=read_all_layers(read_single_file, "a checkpoint of AdcSR"),
        ),
    ),
    published={
        "adcsr": Published(
            parameters=456,
            macs=1049,
            source="TinySR, table 1",
            note="these multiply-accumulates do not follow from the layers",
        ),
    },
)
