"""PiSA-SR, OSEDiff and TOC-SR as families: their presets, and their checkpoints' layouts."""

from __future__ import annotations

from functools import partial

import torch

from tinysr.models.families.stable_diffusion.config import OSEDIFF, PISA_SR, PRESETS, TOC_SR
from tinysr.models.families.stable_diffusion.model import StableDiffusionSr
from tinysr.models.families.stable_diffusion.released import ADAPTERS, is_released, read_released
from tinysr.models.families.stable_diffusion.seeded import seed_stable_diffusion
from tinysr.models.families.stable_diffusion.single_file import is_single_file, read_single_file
from tinysr.models.family import (
    Family,
    Layout,
    OneStepModel,
    Published,
    read_all_layers,
)

__all__ = ["OSEDIFF_FAMILY", "PISA_SR_FAMILY", "TOC_SR_FAMILY"]


def _make_meta(name: str) -> OneStepModel:
    with torch.device("meta"):
        return StableDiffusionSr(PRESETS[name]).eval()


def _make_family(
    name: str,
    published: Published | None = None,
    *,
    licence: str = "OpenRAIL++-M, of Stable Diffusion 2.1",
    released: bool = True,
) -> Family:
    theirs = Layout(
        name=f"{name}-released",
        sign=f"a file {ADAPTERS.get(name)}, beside 'unet' and 'vae'",
        matches=partial(is_released, family=name),
        read=read_all_layers(partial(read_released, family=name), "this checkpoint"),
    )
    return Family(
        name=name,
        licence=licence,
        presets=(name,),
        untrained=frozenset({name}),
        load_preset=lambda preset: seed_stable_diffusion(PRESETS[preset]),
        make_meta=_make_meta,
        layouts=(
            *([theirs] if released else []),
            Layout(
                name=f"{name}-single-file",
                sign=f"a .safetensors file with a config of {name} in its metadata",
                matches=partial(is_single_file, family=name),
                read=read_all_layers(read_single_file, "this checkpoint"),
            ),
        ),
        published={} if published is None else {name: published},
    )


PISA_SR_FAMILY = _make_family(PISA_SR)

OSEDIFF_FAMILY = _make_family(
    OSEDIFF,
    Published(
        parameters=1761,
        macs=2269,
        source="TinySR, table 1",
        note="the table's figures include the text encoder and the network that tags images",
    ),
)

TOC_SR_FAMILY = _make_family(
    TOC_SR,
    Published(
        parameters=130,
        macs=121,
        source="TOC-SR, abstract: 6.6 and 2.8 times fewer than a UNet of 16 latents has",
        note="of the UNet alone, without the autoencoder",
    ),
    licence="none released",
    released=False,
)
