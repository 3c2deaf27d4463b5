"""The methods that the paper compares itself with (section 4.3), all on one interface."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tinysr.training.pruning.space import KeptLayers, SearchSpace

__all__ = ["METHODS", "Evidence", "Method"]

RANDOM_MASKS = 20
"""Masks that random-min draws."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """All that a method may ask of the network."""

    space: SearchSpace
    loss: Callable[[KeptLayers], float]
    """The task loss of a mask, without any training."""
    influence: Callable[[], Sequence[float]]
    """Influence of each layer on its input: 1 - the mean cosine of its input and output."""
    learn: Callable[[bool], KeptLayers]
    """Mask learning, with or without trades between blocks."""
    seed: int = 80


Method = Callable[[Evidence], KeptLayers]


def uniform(evidence: Evidence) -> KeptLayers:
    """Keep layers at even distances, the first and the last among them."""
    space = evidence.space
    gap = (space.layers - 1) / max(space.kept - 1, 1)
    return tuple(round(place * gap) for place in range(space.kept))


def random_min(evidence: Evidence) -> KeptLayers:
    """Keep the best of some random masks by their loss as they are ("Random-Min.")."""
    rng, space = random.Random(evidence.seed), evidence.space  # noqa: S311 - no secret
    masks = {
        tuple(sorted(rng.sample(range(space.layers), space.kept))) for _ in range(RANDOM_MASKS)
    }
    return min(sorted(masks), key=evidence.loss)


def shortgpt(evidence: Evidence) -> KeptLayers:
    """Keep the layers that change their input most (ShortGPT's block influence)."""
    return _keep_largest(evidence.influence(), evidence.space.kept)


def sensitivity(evidence: Evidence) -> KeptLayers:
    """Keep the layers without which, one at a time, the loss is largest."""
    everything = range(evidence.space.layers)
    without = [evidence.loss(tuple(k for k in everything if k != left)) for left in everything]
    return _keep_largest(without, evidence.space.kept)


def tinyfusion(evidence: Evidence) -> KeptLayers:
    """Learn masks within blocks (TinyFusion)."""
    return evidence.learn(False)


def activation(evidence: Evidence) -> KeptLayers:
    """Learn masks with dynamic inter-block activation: the paper's own method."""
    return evidence.learn(True)


def _keep_largest(scores: Sequence[float], count: int) -> KeptLayers:
    order = sorted(range(len(scores)), key=lambda layer: -scores[layer])
    return tuple(sorted(order[:count]))


METHODS: Mapping[str, Method] = {
    "uniform": uniform,
    "random-min": random_min,
    "shortgpt": shortgpt,
    "sensitivity": sensitivity,
    "tinyfusion": tinyfusion,
    "tinysr": activation,
}
"""Methods by the names that tables and commands use, the paper's own last."""
