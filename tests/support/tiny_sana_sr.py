"""A SANA-SR with every part, small enough for a second's work."""

from __future__ import annotations

from tinysr.models.families.sana_sr import SanaSR, SanaSrConfig, seed_sana_sr
from tinysr.models.layers.autoencoder_dc import DcConfig
from tinysr.models.layers.linear_attention import SanaConfig

WIDTHS = (8, 16, 16, 16, 32, 16)
"""Each kind of step between levels: twice, once and half the channels."""

HALF = DcConfig(
    widths=WIDTHS, blocks=(1,) * 6, attended=4, latent_channels=8, head_size=16, kernels=(3,)
)

CONFIG = SanaSrConfig(
    encoder=HALF,
    decoder=HALF,
    # With fewer channels a head's weights may all be zero. The second block is narrower, as
    # pruning may leave it.
    transformer=SanaConfig(
        channels=8,
        dim=32,
        caption=12,
        head_size=16,
        cross_head_size=6,
        heads=(2, 1),
        cross_heads=(2, 1),
        hidden=(32, 20),
    ),
    tokens=5,
    timestep=400.0,
    scaling_factor=0.7,
)


def tiny_sana_sr(seed: int = 5) -> SanaSR:
    """Return a random model; with some seeds a head has a pixel with almost no weight at all."""
    return seed_sana_sr(CONFIG, seed)
