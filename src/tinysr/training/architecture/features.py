"""Features of a UNet, what its transformers add to them on average, and what it costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tinysr.models.accounting import count_cost
from tinysr.models.families.stable_diffusion import StableDiffusionConfig, StableDiffusionSr
from tinysr.models.layers.spatial_transformer import SpatialTransformer

__all__ = ["count_products", "find_features", "find_means", "measure_distance", "measure_latency"]

_REPEATS = 5


@torch.no_grad()
def find_features(model: StableDiffusionSr, latents: Tensor) -> dict[str, Tensor]:
    """Return what each level and the last convolution give, by their names."""
    net, found = model.unet.net, {}
    named: dict[str, nn.Module] = {"middle": net.mid_block, "out": net.conv_out}
    named |= {f"down.{number}": level for number, level in enumerate(net.down_blocks)}
    named |= {f"up.{number}": level for number, level in enumerate(net.up_blocks)}

    def keep(name: str) -> Any:
        def note(_module: nn.Module, _given: object, result: Any) -> None:
            found[name] = result[-1] if isinstance(result, list) else result

        return note

    hooks = [module.register_forward_hook(keep(name)) for name, module in named.items()]
    try:
        model.unet(latents)
    finally:
        for hook in hooks:
            hook.remove()
    return found


@torch.no_grad()
def find_means(model: StableDiffusionSr, latents: Tensor) -> dict[str, Tensor]:
    """Return what each transformer adds to its channels ``[C]`` on average, by the part's name."""
    net, means = model.unet.net, {}
    levels = len(net.down_blocks)

    def keep(name: str) -> Any:
        def note(_module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
            means[name] = (result - given[0]).mean((0, 2, 3))

        return note

    hooks = []
    for path, module in net.named_modules():
        if isinstance(module, SpatialTransformer):
            way, *places = path.split(".")
            level = int(places[0]) if places[0].isdigit() else 0
            name = {
                "down_blocks": f"down.{level}.{places[-1]}",
                "up_blocks": f"up.{levels - 1 - level}.{places[-1]}",
                "mid_block": "middle",
            }[way]
            hooks.append(module.register_forward_hook(keep(name)))
    try:
        model.unet(latents)
    finally:
        for hook in hooks:
            hook.remove()
    return means


def measure_distance(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    """Return the mean squared difference of features, over the expected ones' variance."""
    parts = [
        float((found[name] - value).square().mean() / value.var())
        for name, value in expected.items()
    ]
    return statistics.fmean(parts)


def count_products(config: StableDiffusionConfig, latents: Tensor) -> float:
    """Return the multiply-accumulates of a config's UNet, attention's among them."""
    with torch.device("meta"):
        model = StableDiffusionSr(config).unet
        cost = count_cost(model, model, torch.empty(latents.shape))
    return float(cost.macs + cost.attention_macs)


@torch.no_grad()
def measure_latency(model: StableDiffusionSr, latents: Tensor) -> float:
    """Return the median seconds of a run on this machine's CPU, after one that warms it up."""
    seconds = []
    for _ in range(_REPEATS + 1):
        start = time.perf_counter()
        model.unet(latents)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])
