"""Small models to train, and sessions that show nothing."""

from __future__ import annotations

from tinysr.models import ModelConfig, TinySR, TransformerConfig, VaeConfig
from tinysr.training.engine import SessionSettings
from tinysr.training.init import initialise

QUIET = SessionSettings(watch_every=0)


def model(depth: int, width: int, *, separable: bool, seed: int = 1) -> TinySR:
    vae = VaeConfig(
        width=width,
        encoder_blocks=(1, 1, 1, 1),
        decoder_blocks=(1, 1, 1, 1),
        separable_encoder=separable,
    )
    transformer = TransformerConfig(depth=depth, heads=1, pooled_size=8)
    return initialise(TinySR(ModelConfig(vae=vae, transformer=transformer)), seed)


SMALL_VAE = {
    "width": 26,
    "separable_encoder": True,
    "encoder_blocks": [1, 1, 1, 1],
    "decoder_blocks": [1, 1, 1, 1],
}
