"""Distributions of masks for tests."""

from __future__ import annotations

import torch

from tinysr.training.pruning import MaskDistribution, SearchSpace

SMALL = SearchSpace(layers=8)


def randomised(space: SearchSpace, seed: int = 0, *, trades: bool = True) -> MaskDistribution:
    distribution = MaskDistribution(space, trades=trades)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for logits in distribution.parameters():
            logits.normal_(generator=generator)
    return distribution
