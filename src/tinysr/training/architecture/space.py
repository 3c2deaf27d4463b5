"""The search's space: parts of a UNet that a candidate may lack, and its config without them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from torch import Tensor

from tinysr.errors import UnsupportedError
from tinysr.models.families.stable_diffusion import StableDiffusionConfig

__all__ = ["inherit", "list_parts", "shrink"]

_NET = "unet.net."
_WAYS = ("down", "up")

_Ways = dict[str, list[list[bool]]]


def list_parts(config: StableDiffusionConfig) -> tuple[str, ...]:
    """Return the parts: transformers, ``down.1.0``, and pairs of residual blocks, ``pair.1``.

    A pair is the last block of a level's way down, and the one before the last on its way up.
    """
    ways = _list_ways(config)
    parts = [
        f"{way}.{level}.{index}"
        for way in _WAYS
        for level, blocks in enumerate(ways[way])
        for index, follows in enumerate(blocks)
        if follows
    ]
    parts += [f"pair.{level}" for level, blocks in enumerate(ways["down"]) if len(blocks) > 1]
    return (*parts, *(["middle"] if config.middle == 1 else []))


def shrink(config: StableDiffusionConfig, dropped: Collection[str]) -> StableDiffusionConfig:
    """Return the config without some parts.

    Raises:
        UnsupportedError: a part is none of the model's.
    """
    unknown = sorted(set(dropped) - set(list_parts(config)))
    if unknown:
        raise UnsupportedError(f"no part '{unknown[0]}': expected one of the model's own")
    ways = _list_ways(config)
    for part in dropped:
        way, *places = part.split(".")
        if way in _WAYS:
            ways[way][int(places[0])][int(places[1])] = False
    for part in dropped:
        way, *places = part.split(".")
        if way == "pair":
            level = int(places[0])
            del ways["down"][level][-1], ways["up"][level][-2]
    down, up = (tuple(map(tuple, ways[way])) for way in _WAYS)
    middle = 0 if "middle" in dropped else config.middle
    return replace(config, down=down, up=up, middle=middle)


def inherit(
    tensors: Mapping[str, Tensor],
    config: StableDiffusionConfig,
    dropped: Collection[str],
    means: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Return a candidate's tensors: the teacher's own, all but those of the dropped parts.

    Args:
        tensors: the teacher's.
        config: the teacher's.
        dropped: names of parts.
        means: what each transformer adds to its channels on average, by its name; the bias before
            it takes that over.
    """
    found = dict(tensors)
    levels = len(config.widths)
    for part in dropped:
        way, *places = part.split(".")
        if way == "middle":
            _drop(found, f"{_NET}mid_block.attentions.0.", f"{_NET}mid_block.resnets.1.")
            found[f"{_NET}mid_block.resnets.0.conv2.bias"] = (
                found[f"{_NET}mid_block.resnets.0.conv2.bias"] + means["middle"]
            )
        elif way in _WAYS:
            level, index = map(int, places)
            block = f"{_NET}{way}_blocks.{level if way == 'down' else levels - 1 - level}"
            _drop(found, f"{block}.attentions.{index}.")
            bias = f"{block}.resnets.{index}.conv2.bias"
            found[bias] = found[bias] + means[part]
    ways = _list_ways(config)
    for part in dropped:
        way, *places = part.split(".")
        if way == "pair":
            level = int(places[0])
            down, up = (len(ways[name][level]) for name in _WAYS)
            below = f"{_NET}down_blocks.{level}."
            above = f"{_NET}up_blocks.{levels - 1 - level}."
            for kind in ("resnets", "attentions"):
                _drop(found, f"{below}{kind}.{down - 1}.", f"{above}{kind}.{up - 2}.")
                _rename(found, f"{above}{kind}.{up - 1}.", f"{above}{kind}.{up - 2}.")
    return found


def _list_ways(config: StableDiffusionConfig) -> _Ways:
    unet = config.unet
    return {
        "down": [list(blocks) for blocks in unet.way_down],
        "up": [list(blocks) for blocks in unet.way_up],
    }


def _drop(tensors: dict[str, Tensor], *prefixes: str) -> None:
    for name in [name for name in tensors if name.startswith(prefixes)]:
        del tensors[name]


def _rename(tensors: dict[str, Tensor], old: str, new: str) -> None:
    for name in [name for name in tensors if name.startswith(old)]:
        tensors[new + name.removeprefix(old)] = tensors.pop(name)
