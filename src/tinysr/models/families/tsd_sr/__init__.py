"""TSD-SR (CVPR 2025): SD3-medium, run once, with the tokens of one prompt."""

from tinysr.models.families.tsd_sr.config import PRESETS, KlConfig, TsdSrConfig
from tinysr.models.families.tsd_sr.model import TsdSr
from tinysr.models.families.tsd_sr.released import is_released, read_released
from tinysr.models.families.tsd_sr.seeded import seed_tsd_sr
from tinysr.models.families.tsd_sr.single_file import (
    is_single_file,
    read_single_file,
    save_single_file,
)

__all__ = [
    "PRESETS",
    "KlConfig",
    "TsdSr",
    "TsdSrConfig",
    "is_released",
    "is_single_file",
    "read_released",
    "read_single_file",
    "save_single_file",
    "seed_tsd_sr",
]
