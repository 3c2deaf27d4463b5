"""All families, and which of them a name or a path belongs to."""

from __future__ import annotations

from pathlib import Path

from tinysr import paths
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models.families.adcsr.family import ADCSR
from tinysr.models.families.custom.family import CUSTOM
from tinysr.models.families.sana_sr.family import SANA_SR
from tinysr.models.families.stable_diffusion.family import (
    OSEDIFF_FAMILY,
    PISA_SR_FAMILY,
    TOC_SR_FAMILY,
)
from tinysr.models.families.tinysr.family import TINYSR
from tinysr.models.families.tsd_sr.family import TSD_SR
from tinysr.models.family import Family, Layout

__all__ = ["FAMILIES", "detect", "find_preset", "list_presets"]

FAMILIES: tuple[Family, ...] = (
    TINYSR,
    TSD_SR,
    PISA_SR_FAMILY,
    OSEDIFF_FAMILY,
    ADCSR,
    SANA_SR,
    TOC_SR_FAMILY,
    CUSTOM,
)


def list_presets() -> tuple[str, ...]:
    """Return the names of all families' presets."""
    return tuple(name for family in FAMILIES for name in family.presets)


def find_preset(name: str) -> Family | None:
    """Return the family that has a preset of this name; None if none has."""
    return next((family for family in FAMILIES if name in family.presets), None)


def detect(path: Path) -> Layout:
    """Return the layout of a checkpoint, told from names and headers alone.

    Raises:
        UnsupportedError: there is nothing at ``path``, and no preset has its name.
        CheckpointError: what is there has no known layout, or several.
    """
    if not paths.exists(path, CheckpointError):
        raise UnsupportedError(
            f"unknown model '{path}': expected a preset ({', '.join(sorted(list_presets()))}) or a "
            f"checkpoint's folder, .safetensors or .toml file, and nothing was found at that path"
        )
    everything = [layout for family in FAMILIES for layout in family.layouts]
    found = [layout for layout in everything if layout.matches(path)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(layout.name for layout in found)
        raise CheckpointError(
            f"{path}: expected a checkpoint of one layout, found signs of {names}: keep the files "
            f"of one of them"
        )
    if paths.is_file(path, CheckpointError):
        raise CheckpointError(
            f"{path}: only .safetensors files, and .toml files that describe a network, are read: "
            "pickles may hold code"
        )
    signs = "; ".join(f"{layout.name} ({layout.sign})" for layout in everything)
    raise CheckpointError(f"{path}: no known checkpoint layout here: expected {signs}")
