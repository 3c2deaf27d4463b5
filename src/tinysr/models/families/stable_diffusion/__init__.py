"""PiSA-SR and OSEDiff: Stable Diffusion 2.1 in one step, each with a LoRA of its own."""

from tinysr.models.families.stable_diffusion.config import (
    OSEDIFF,
    PISA_SR,
    PRESETS,
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
    "StableDiffusionConfig",
    "StableDiffusionSr",
    "is_single_file",
    "read_single_file",
    "save_single_file",
    "seed_stable_diffusion",
]
