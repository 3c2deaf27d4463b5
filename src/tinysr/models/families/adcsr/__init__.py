"""AdcSR (CVPR 2025): a pruned UNet straight on the image, and half of a decoder."""

from tinysr.models.families.adcsr.config import PRESETS, AdcSrConfig
from tinysr.models.families.adcsr.model import AdcSR
from tinysr.models.families.adcsr.released import is_released, read_released
from tinysr.models.families.adcsr.seeded import seed_adcsr
from tinysr.models.families.adcsr.single_file import (
    is_single_file,
    read_single_file,
    save_single_file,
)

__all__ = [
    "PRESETS",
    "AdcSR",
    "AdcSrConfig",
    "is_released",
    "is_single_file",
    "read_released",
    "read_single_file",
    "save_single_file",
    "seed_adcsr",
]
