"""Batches of taught crops, as a pure function of config, shards and step."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from tinysr.errors import UnsupportedError
from tinysr.models import SCALE
from tinysr.training.config import RunConfig
from tinysr.training.data import add_grain, darken, defocus, draw_colour, fade
from tinysr.training.degradations import degrade_batch, find_settings
from tinysr.training.engine import Batch, Raw
from tinysr.training.image_teachers.shards import KINDS, Taught
from tinysr.training.spectral import Random

__all__ = ["TaughtBatches"]

_TAUGHT = 3
"""Key that keeps this random stream apart from those of images, crops and degradations."""


class TaughtBatches:
    """Batches by step: parts of kept crops, turned and mirrored, with their teacher's images.

    What a teacher would repair without need, or only harm, has the original in its place.
    """

    def __init__(self, config: RunConfig, taught: Taught) -> None:
        """Draw from the shards of a finished stage ``teach``.

        Raises:
            UnsupportedError: the config's patches are larger than the kept crops, or there is no
                degradation of its name.
        """
        largest = max(phase.patch for phase in config.phases)
        if largest > taught.patch:
            raise UnsupportedError(
                f"patches of {largest}² don't fit the taught crops of {taught.patch}²: "
                "set phases of smaller ones, or teach larger crops"
            )
        self._config, self._taught = config, taught
        self._settings = find_settings(config.data.degradation)
        self._gentle = self._settings.model_copy(update={"single": 1.0})

    def load(self, step: int, part: int = 0, parts: int = 1) -> Raw:
        """Return the crops of ``step``, or every ``parts``-th of them from ``part`` on."""
        phase = self._config.phase(step)
        rows, keys = [], []
        for item in range(part, phase.batch, parts):
            key = [self._config.seed, _TAUGHT, step, item]
            rows.append(self._draw(np.random.default_rng(key), phase.patch))
            keys.append(key)
        low, high, taught = (torch.stack(tensors) for tensors in zip(*rows, strict=True))
        return Raw(high=high, keys=torch.tensor(keys), low=low, taught=taught)

    def finish(self, raw: Raw) -> Batch:
        """Return the batch; nothing is left to degrade."""
        if raw.low is None or raw.taught is None:
            raise UnsupportedError("expected a batch of taught crops")
        images = (raw.low, raw.high, raw.taught)
        low, high, taught = (i.contiguous(memory_format=torch.channels_last) for i in images)
        return Batch(low=low, high=high, taught=taught)

    def _draw(self, rng: Random, patch: int) -> list[Tensor]:
        """Return a crop of each kind, ``[3, h, w]`` in [0, 1]."""
        data = self._config.data
        # Drawn only where asked for, so that other configs' crops stay what they were.
        share = rng.random() if data.flat or data.soft or data.intact else 1.0
        if share < data.flat:
            return _one_colour(rng, patch)
        crop = self._crop(rng, patch)
        if share >= data.flat + data.soft + data.intact:
            return crop
        high = crop[1].permute(1, 2, 0).numpy()
        soft = share < data.flat + data.soft
        if soft:
            high = defocus(high, rng)
        if data.faint and rng.random() < data.faint:
            high = fade(high, rng)
        if data.dark and rng.random() < data.dark:
            high = darken(high, rng)
        if data.grain and rng.random() < data.grain:
            high = add_grain(high, rng)
        original = torch.from_numpy(high).permute(2, 0, 1)
        if not soft and rng.random() < 0.5:
            return [_reduce(original, rng), original, original]
        key = torch.from_numpy(rng.integers(0, 2**31, (1, 2)))
        settings = self._settings if soft else self._gentle
        return [degrade_batch(original[None], key, settings)[0], original, original]

    def _crop(self, rng: Random, patch: int) -> list[Tensor]:
        """Return a part of a kept crop, ``[3, h, w]`` of each kind, in [0, 1]."""
        name = self._taught.shards[int(rng.integers(len(self._taught.shards)))]
        index = int(rng.integers(self._taught.crops))
        top, left = rng.integers(0, (self._taught.patch - patch) // SCALE + 1, 2)
        turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
        found = []
        with safe_open(str(self._taught.folder / name), framework="pt") as file:
            for kind in KINDS:
                unit = 1 if kind == "low" else SCALE
                side, at = patch // SCALE * unit, (int(top) * unit, int(left) * unit)
                crop = file.get_slice(kind)[
                    index : index + 1, :, at[0] : at[0] + side, at[1] : at[1] + side
                ][0]
                crop = torch.rot90(crop, turns, (1, 2))
                found.append((crop.flip(2) if mirrored else crop).float() / 255)
        return found


def _one_colour(rng: Random, patch: int) -> list[Tensor]:
    colour = torch.from_numpy(draw_colour(rng))[:, None, None]
    sides = (patch // SCALE if kind == "low" else patch for kind in KINDS)
    return [colour.expand(3, side, side) for side in sides]


def _reduce(original: Tensor, rng: Random) -> Tensor:
    """Return a crop made smaller as image editors do it."""
    side = original.shape[-1] // SCALE
    if rng.random() < 0.5:
        low = F.interpolate(original[None], size=(side, side), mode="area")
    else:
        low = F.interpolate(original[None], size=(side, side), mode="bicubic", antialias=True)
    return (low[0].clamp(0, 1) * 255).round() / 255
