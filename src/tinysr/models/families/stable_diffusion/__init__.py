"""One-step models around Stable Diffusion's UNet: PiSA-SR, OSEDiff, and the compact TOC-SR."""

from tinysr.models.families.stable_diffusion.config import (
    OSEDIFF,
    PISA_SR,
    PRESETS,
    TOC_SR,
    StableDiffusionConfig,
)
from tinysr.models.families.stable_diffusion.model import StableDiffusionSr
from tinysr.models.families.stable_diffusion.seeded import seed_stable_diffusion
from tinysr.models.families.stable_diffusion.single_file import (
    is_single_file,
    read_single_file,
    save_single_file,
)

__all__ = [
    "OSEDIFF",
    "PISA_SR",
    "PRESETS",
    "TOC_SR",
    "StableDiffusionConfig",
    "StableDiffusionSr",
    "is_single_file",
    "read_single_file",
    "save_single_file",
    "seed_stable_diffusion",
]
