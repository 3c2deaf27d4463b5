"""SANA-SR (2026): deep compression, and a transformer with linear attention."""

from tinysr.models.families.sana_sr.config import PRESETS, SanaSrConfig
from tinysr.models.families.sana_sr.folder import is_folder, read_folder
from tinysr.models.families.sana_sr.model import SanaSR
from tinysr.models.families.sana_sr.seeded import seed_sana_sr
from tinysr.models.families.sana_sr.single_file import (
    is_single_file,
    read_single_file,
    save_single_file,
)

__all__ = [
    "PRESETS",
    "SanaSR",
    "SanaSrConfig",
    "is_folder",
    "is_single_file",
    "read_folder",
    "read_single_file",
    "save_single_file",
    "seed_sana_sr",
]
