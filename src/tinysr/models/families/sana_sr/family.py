"""SANA-SR as a family: its preset, and the layouts of its checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from tinysr.errors import UnsupportedError
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
    ReadModel,
    ReadOptions,
)

__all__ = ["SANA_SR"]


def _make_meta(name: str) -> OneStepModel:
    with torch.device("meta"):
        return SanaSR(PRESETS[name]).eval()


def _reader(read: Callable[[Path], SanaSR]) -> Callable[[Path, ReadOptions], ReadModel]:
    def read_all(path: Path, options: ReadOptions) -> ReadModel:
        if options.layers is not None:
            raise UnsupportedError(f"{path}: layers can't be chosen from a checkpoint of SANA-SR")
        return ReadModel(model=read(path))

    return read_all


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
            read=_reader(read_folder),
        ),
        Layout(
            name="sana-sr-single-file",
            sign="a .safetensors file with a config of SANA-SR in its metadata",
            matches=is_single_file,
            read=_reader(read_single_file),
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
