"""Depth pruning: which layers of a teacher to keep (paper section 3.1)."""

from tinysr.training.pruning.baselines import METHODS, Evidence, Method
from tinysr.training.pruning.distribution import MaskDistribution
from tinysr.training.pruning.search import Annealing, Objective, SearchConfig, learn_masks
from tinysr.training.pruning.space import PAIRINGS, KeptLayers, Pairing, SearchSpace

__all__ = [
    "METHODS",
    "PAIRINGS",
    "Annealing",
    "Evidence",
    "KeptLayers",
    "MaskDistribution",
    "Method",
    "Objective",
    "Pairing",
    "SearchConfig",
    "SearchSpace",
    "learn_masks",
]
