"""Real-ESRGAN's second-order degradation, for a whole batch at once on any device.

Blur, resize, noise and JPEG, twice, and a last sinc filter (Wang et al. 2021, section 3). What
happens to an item is drawn from its own seed, so that it does not matter what else a batch holds.
"""

from tinysr.training.degradations.pipeline import degrade_batch
from tinysr.training.degradations.settings import (
    DEGRADATIONS,
    DegradationSettings,
    Round,
    find_settings,
)

__all__ = ["DEGRADATIONS", "DegradationSettings", "Round", "degrade_batch", "find_settings"]
