"""An AdcSR with every part, small enough for a second's work."""

from __future__ import annotations

from tinysr.models.families.adcsr import AdcSR, AdcSrConfig, seed_adcsr

CONFIG = AdcSrConfig(
    widths=(16, 24, 32, 32),
    head_size=8,
    blocks=1,
    decoder_widths=(16, 16, 8, 8),
    decoder_blocks=1,
    decoder_groups=4,
)


def tiny_adcsr(seed: int = 7) -> AdcSR:
    """Return a random model."""
    return seed_adcsr(CONFIG, seed)
