"""Costs of an eager TinySR, what baking removes apart."""

from __future__ import annotations

import torch
from torch import Tensor

from tinysr.models.accounting import Cost, count_cost
from tinysr.models.families.tinysr.config import ModelConfig
from tinysr.models.families.tinysr.model import TinySR
from tinysr.models.layers.sd3 import Modulation
from tinysr.models.one_step import SCALE

__all__ = ["count_eager_costs", "meta_model"]


def meta_model(config: ModelConfig) -> TinySR:
    """Return a model that has shapes and no memory."""
    with torch.device("meta"):
        return TinySR(config).eval()


def count_eager_costs(model: TinySR, side: int) -> dict[str, Cost]:
    """Count an eager model for an image of ``side``²; what baking removes has its own entries.

    Returns:
        Costs of ``encoder``, ``transformer`` (without the following two), ``decoder``,
        ``modulation`` (the adaLN linears) and ``conditioning`` (time and pooled text).
    """
    lr, z = _inputs(model.config, side, model.pooled.device)
    net = model.transformer
    time = torch.full((1,), model.config.timestep, device=z.device)
    conditioning = count_cost(net.time_text_embed, net.time_text_embed, time, model.pooled)
    vector = torch.empty(1, model.config.transformer.dim, device=z.device)
    modulation = Cost(parameters=0, macs=0)
    for module in net.modules():
        if isinstance(module, Modulation):
            modulation += count_cost(module, module, vector)
    return {
        "encoder": count_cost(model.encoder, model.encode, lr),
        "transformer": count_cost(net, model.predict, z) - modulation - conditioning,
        "decoder": count_cost(model.decoder, model.decode, z),
        "modulation": modulation,
        "conditioning": conditioning,
    }


def _inputs(config: ModelConfig, side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    latent = side * SCALE // config.vae.downscale
    lr = torch.empty(1, 3, side, side, device=device)
    return lr, torch.empty(1, config.vae.latent_channels, latent, latent, device=device)
